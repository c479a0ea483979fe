/**
 * Three instances that reach each other over real HTTP: with a token, and with mutual TLS. What one says
 * when another does not let it in.
 */

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { InstanceAccess } from '../../src/admin/instance-client.ts'
import { Authority, Files } from '../support/certificates.ts'
import {
  type DeploymentOptions,
  type ProcessDeployment,
  startDeployment,
} from '../support/process-deployment.ts'
import { type RanZdm, zdm as runZdm } from '../support/zdm.ts'

const TIMEOUT_MS = 300_000
const TOKEN = 'a'.repeat(32)
const OTHER_TOKEN = 'b'.repeat(32)
const TIMEOUTS = { timeoutMs: 20_000, commitTimeoutMs: 20_000 }

type Secured = DeploymentOptions & {
  /** How an operator's command gets in. */
  readonly options: readonly string[]
}

/** `tokens`: of each instance; the operator has the first one's. */
const withToken = async (tokens: readonly string[]): Promise<Secured> => {
  const files = new Files()
  const paths: string[] = []
  for (const [i, token] of tokens.entries()) paths.push(await files.write(`token-${i}`, token))
  return {
    options: ['--token-file', paths[0]!],
    access: { token: tokens[0]!, tls: {}, ...TIMEOUTS },
    environment: (index) => ({ ZDM_ADMIN_TOKEN_PATH: paths[index] }),
  }
}

const ADDRESSES = ['127.0.1.1', '127.0.1.2', '127.0.1.3', '127.0.0.1']

/** Each instance with a certificate of its own; the operator with another. */
const withMutualTls = async (foreign: number | null = null): Promise<Secured> => {
  const files = new Files()
  const [authority, stranger] = [await Authority.create(), await Authority.create('Somebody else')]
  const ca = await files.write('ca.crt', authority.certificate)
  const pairs: { cert: string; key: string }[] = []
  for (const index of [0, 1, 2]) {
    const issuer = index === foreign ? stranger : authority
    const issued = await issuer.issue(`instance ${index}`, { names: ADDRESSES })
    pairs.push(await files.writePair(`instance-${index}`, issued))
  }
  const issued = await authority.issue('operator', { usage: 'client' })
  const operator = await files.writePair('operator', issued)
  const tls = { ca: authority.certificate, cert: issued.certificate, key: issued.key }
  const access: InstanceAccess = { token: null, tls, ...TIMEOUTS }
  return {
    options: ['--ca', ca, '--cert', operator.cert, '--key', operator.key],
    access,
    environment: (index) => ({
      ZDM_ADMIN_TLS_CERT_PATH: pairs[index]!.cert,
      ZDM_ADMIN_TLS_KEY_PATH: pairs[index]!.key,
      ZDM_ADMIN_TLS_CLIENT_CA_PATH: ca,
    }),
  }
}

/** `zdm` as an operator runs it against the first instance; `out` is all that it writes. */
const zdm = async (
  { instances }: ProcessDeployment,
  { options }: Secured,
  ...args: readonly string[]
): Promise<Pick<RanZdm, 'status' | 'out'>> => {
  const ran = await runZdm(['--address', instances[0].name, ...options, ...args])
  return { status: ran.status, out: ran.out + ran.error }
}

describe.each([
  { how: 'a token', secure: () => withToken([TOKEN, TOKEN, TOKEN]) },
  { how: 'mutual TLS', secure: () => withMutualTls() },
])('with $how', ({ secure }) => {
  test('three instances change as one', { timeout: TIMEOUT_MS }, async () => {
    const secured = await secure()
    const deployment = await startDeployment(secured)
    const advanced = await zdm(deployment, secured, 'advance', 'migrate')
    expect(advanced.out).toContain('all 3 instances are in migrate at revision 1')
    expect(advanced.status).toBe(0)
    const back = await zdm(deployment, secured, 'rollback')
    expect(back.out).toContain('all 3 instances are in rolled-back at revision 2')
    const instances = await zdm(deployment, secured, 'instances')
    expect(instances.out).toContain('They agree.')
    // Whoever shows nothing gets nowhere.
    const stranger = await zdm(deployment, { ...secured, options: [] }, 'rollback')
    expect(stranger.status).toBe(1)
  })
})

test('a token is replaced while every change goes through: first added, then shown, then alone', {
  timeout: TIMEOUT_MS,
}, async () => {
  const secured = await withToken([TOKEN, TOKEN, TOKEN])
  const deployment = await startDeployment(secured)
  const paths = [0, 1, 2].map((index) =>
    String(secured.environment!(index)['ZDM_ADMIN_TOKEN_PATH']),
  )
  const give = async (index: number, ...tokens: readonly string[]): Promise<void> => {
    const instance = deployment.instances[index]!
    const before = instance.log.split('TOKENS_RELOADED').length
    writeFileSync(paths[index]!, tokens.join('\n'))
    instance.reload()
    await expect
      .poll(() => instance.log.split('TOKENS_RELOADED').length, { timeout: TIMEOUT_MS })
      .toBe(before + 1)
  }
  let revision = 0
  const change = async (...args: readonly string[]): Promise<void> => {
    revision++
    const { out } = await zdm(deployment, secured, ...args)
    expect(out).toContain('all 3 instances are in')
    expect(out).toContain(`at revision ${revision}`)
  }
  // Added behind the old one, instance by instance: some accept both, all show the old one.
  await give(0, TOKEN, OTHER_TOKEN)
  await change('advance', 'migrate')
  for (const index of [1, 2]) await give(index, TOKEN, OTHER_TOKEN)
  // Shown first by the one that is asked; the operator's file, which is that of the first instance, too.
  await give(0, OTHER_TOKEN, TOKEN)
  await change('rollback')
  for (const index of [1, 2]) await give(index, OTHER_TOKEN)
  await give(0, OTHER_TOKEN)
  await change('advance', 'migrate')
})

describe.each([
  {
    what: 'another token',
    secure: () => withToken([TOKEN, TOKEN, OTHER_TOKEN]),
    why: /the token that was shown is none of admin_token_path/,
  },
  {
    what: 'a certificate of another authority',
    secure: () => withMutualTls(2),
    why: /cannot be reached: .*certificate/,
  },
])('an instance with $what', ({ secure, why }) => {
  test('holds an advance up and is named; a rollback goes on without it', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const secured = await secure()
    const deployment = await startDeployment(secured)
    const [first, , third] = deployment.instances
    const advanced = await zdm(deployment, secured, 'advance', 'migrate')
    expect(advanced.status).toBe(3)
    expect(advanced.out).toContain(`instances-reachable: ${third.name}: `)
    expect(advanced.out).toMatch(why)
    expect(advanced.out).toContain('(nothing was changed)')
    const back = await zdm(deployment, secured, 'rollback')
    expect(back.status).toBe(4)
    expect(back.out).toContain(`2 of 3 instances are in rolled-back; not: ${third.name} (unknown`)
    expect(back.out).toMatch(why)
    expect(back.out).toContain(`To finish:  zdm align --like ${first.name}`)
  })
})

test('an instance whose state file cannot be written holds an advance back everywhere', {
  timeout: TIMEOUT_MS,
}, async () => {
  const secured = await withToken([TOKEN, TOKEN, TOKEN])
  const deployment = await startDeployment(secured)
  const [, , third] = deployment.instances
  // A file cannot be renamed over a directory.
  mkdirSync(third.statePath)
  writeFileSync(`${third.statePath}/in-the-way`, '')
  const refused = await zdm(deployment, secured, 'advance', 'migrate')
  expect(refused.status).toBe(3)
  expect(refused.out).toContain(third.name)
  expect(refused.out).toContain('(routing_state_path) cannot be written')
  rmSync(third.statePath, { recursive: true })
  const advanced = await zdm(deployment, secured, 'advance', 'migrate')
  expect(advanced.out).toContain('all 3 instances are in migrate at revision 1')
})
