import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { afterEach, describe, expect, test } from 'vitest'
import type { SharedStatement } from '../../src/prepared/statement.ts'
import { PeerLinks } from '../../src/proxy/peer-links.ts'
import { StatementClass } from '../../src/statement/classify.ts'
import { FakeClock } from '../support/fake-clock.ts'

const clock = new FakeClock()

const links: PeerLinks[] = []
afterEach(() => {
  for (const link of links.splice(0)) link.close()
})

const idOf = (name: string): Uint8Array => new TextEncoder().encode(name)

const statementOf = (name: string): SharedStatement => ({
  id: idOf(name),
  ids: [idOf(name), idOf(`${name} on target`)],
  columnDigests: [null, idOf('metadata')],
  statementClass: StatementClass.WRITE,
  text: idOf(`INSERT INTO ks.${name} (k) VALUES (?)`),
  keyspace: 'ks',
})

/** What a plane knows, and what it was asked. */
type Plane = { readonly link: PeerLinks; readonly asked: string[]; readonly known: Set<string> }

/** So many planes, each linked with each. */
const planes = (count: number): Plane[] => {
  const made = Array.from({ length: count }, (): Plane => {
    const link = new PeerLinks(clock)
    links.push(link)
    return { link, asked: [], known: new Set() }
  })
  const answerOf =
    ({ asked, known }: Plane) =>
    (id: Uint8Array): SharedStatement | null => {
      const name = new TextDecoder().decode(id)
      asked.push(name)
      return known.has(name) ? statementOf(name) : null
    }
  for (const [at, plane] of made.entries()) {
    for (const peer of made.slice(at + 1)) {
      const { port1, port2 } = new MessageChannel()
      plane.link.connect(port1, answerOf(plane))
      peer.link.connect(port2, answerOf(peer))
    }
  }
  return made
}

/** A peer that does with each question what the test says, and answers none. */
const withPeer = (onAsk: (port: MessagePort) => void): PeerLinks => {
  const link = new PeerLinks(clock)
  links.push(link)
  const { port1, port2 } = new MessageChannel()
  link.connect(port1, () => null)
  port2.on('message', () => onAsk(port2))
  return link
}

describe('asking other planes for a statement', () => {
  test('whoever knows it tells, whole', async () => {
    const [first, second, third] = planes(3)
    third!.known.add('t')
    expect(await first!.link.ask(idOf('t'))).toEqual(statementOf('t'))
    expect(second!.asked).toEqual(['t'])
    expect(third!.asked).toEqual(['t'])
    expect(first!.asked).toEqual([])
  })

  test('a plane without others knows at once that nobody does', async () => {
    const [alone] = planes(1)
    expect(await alone!.link.ask(idOf('t'))).toBeNull()
  })

  test('null once all have said that they do not know it', async () => {
    const [first, second, third] = planes(3)
    expect(await first!.link.ask(idOf('t'))).toBeNull()
    expect([...second!.asked, ...third!.asked]).toEqual(['t', 't'])
  })

  test('several know it: one answer, and the other disturbs no later question', async () => {
    const [first, second, third] = planes(3)
    for (const plane of [second!, third!]) plane.known.add('t')
    expect(await first!.link.ask(idOf('t'))).toEqual(statementOf('t'))
    expect(await first!.link.ask(idOf('u'))).toBeNull()
    expect(await first!.link.ask(idOf('t'))).toEqual(statementOf('t'))
  })

  test('questions at the same time, both ways, each get their own answer', async () => {
    const [first, second] = planes(2)
    for (const name of ['a', 'b']) second!.known.add(name)
    first!.known.add('c')
    const answers = await Promise.all([
      first!.link.ask(idOf('a')),
      second!.link.ask(idOf('c')),
      first!.link.ask(idOf('x')),
      first!.link.ask(idOf('b')),
    ])
    expect(answers).toEqual([statementOf('a'), statementOf('c'), null, statementOf('b')])
  })
})

describe('a plane that is gone', () => {
  test('answers nothing, and nobody waits for it', async () => {
    const [first, second, third] = planes(3)
    third!.known.add('t')
    second!.link.close()
    expect(await first!.link.ask(idOf('t'))).toEqual(statementOf('t'))
    expect(await first!.link.ask(idOf('u'))).toBeNull()
  })

  test('while it owes an answer: the question ends without it', async () => {
    const link = withPeer((port) => port.close())
    expect(await link.ask(idOf('t'))).toBeNull()
    // It is not asked again: this would never end if it were waited for.
    expect(await link.ask(idOf('t'))).toBeNull()
  })

  test('while it owes an answer: another that knows is still heard', async () => {
    const link = withPeer((port) => port.close())
    const { port1, port2 } = new MessageChannel()
    const knowing = new PeerLinks(clock)
    links.push(knowing)
    link.connect(port1, () => null)
    knowing.connect(port2, (id) => statementOf(new TextDecoder().decode(id)))
    expect(await link.ask(idOf('t'))).toEqual(statementOf('t'))
  })
})

describe('close', () => {
  test('ends the questions that wait', async () => {
    const asked = Promise.withResolvers<void>()
    const link = withPeer(() => asked.resolve())
    const answer = link.ask(idOf('t'))
    await asked.promise
    link.close()
    expect(await answer).toBeNull()
  })

  test('a question afterwards ends too', async () => {
    const [first, second] = planes(2)
    second!.known.add('t')
    first!.link.close()
    expect(await first!.link.ask(idOf('t'))).toBeNull()
    first!.link.close()
  })

  test('a plane that does not answer within a second counts as one that does not know', async () => {
    const { promise: asked, resolve } = Promise.withResolvers<void>()
    const link = withPeer(() => resolve())
    const answer = link.ask(idOf('t'))
    await asked
    clock.advance(1000)
    expect(await answer).toBeNull()
    expect(clock.pendingTimers).toBe(0)
  })
})
