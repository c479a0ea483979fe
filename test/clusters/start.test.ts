import { describe, expect, test } from 'vitest'
import { chooseProvider } from '../../clusters/start.ts'

const never = (): Promise<boolean> => Promise.reject(new Error('the engine was asked'))

describe('which provider starts the clusters', () => {
  test.each([
    { wanted: undefined, engineAnswers: true, provider: 'docker' },
    { wanted: undefined, engineAnswers: false, provider: 'jvm' },
    { wanted: '', engineAnswers: true, provider: 'docker' },
    { wanted: '', engineAnswers: false, provider: 'jvm' },
  ])('$wanted, engine answers: $engineAnswers → $provider', async (row) => {
    const chosen = await chooseProvider(row.wanted, () => Promise.resolve(row.engineAnswers))
    expect(chosen).toBe(row.provider)
  })

  test.each(['docker', 'jvm'])('%s is taken without asking the engine', async (wanted) => {
    expect(await chooseProvider(wanted, never)).toBe(wanted)
  })

  test('another word is refused, with the words that are not', async () => {
    await expect(chooseProvider('podman', never)).rejects.toMatchObject({
      code: 'UNKNOWN_PROVIDER',
      message: expect.stringMatching(/ZDM_CLUSTERS=podman.*docker or jvm/),
    })
  })
})
