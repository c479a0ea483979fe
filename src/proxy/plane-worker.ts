/** The entry of a data plane's thread: a plane, and the control plane's messages carried out. */
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../clock.ts'
import { createLogger } from '../log.ts'
import { messageOf } from '../message-of.ts'
import { DataPlane } from './data-plane.ts'
import { PeerLinks } from './peer-links.ts'
import type { CallResult, FromPlane, PlaneCall, PlaneStart, ToPlane } from './plane-messages.ts'

const carryOut = async (
  call: PlaneCall,
  plane: DataPlane,
  links: PeerLinks,
): Promise<CallResult> => {
  switch (call.name) {
    case 'listen':
      return { name: 'listen', port: await plane.listen(call.port, true) }
    case 'route':
      return { name: 'route', quiescence: await plane.setRouting(call.routing) }
    case 'series':
      return { name: 'series', series: plane.series() }
    case 'mismatches':
      return { name: 'mismatches', samples: plane.mismatches() }
    case 'clients':
      return { name: 'clients', clients: plane.clients() }
    case 'closeClients':
      return { name: 'closeClients', closed: plane.closeClients(call.selection) }
    case 'drain':
      await plane.drain(call.announceMs)
      return { name: 'drain' }
    case 'close':
      plane.close()
      links.close()
      return { name: 'close' }
  }
}

const run = (port: NonNullable<typeof parentPort>, start: PlaneStart): void => {
  const links = new PeerLinks(systemClock)
  const log = createLogger({
    level: start.logLevel,
    clock: systemClock,
    bindings: { thread: start.index },
  })
  const tell = (message: FromPlane): void => port.postMessage(message)
  /** Schema changes that wait for the control plane's word, by question. */
  const waiting = new Map<number, () => void>()
  let nextQuestion = 0
  const plane = new DataPlane({
    ...start,
    log,
    clock: systemClock,
    askOthers: (id) => links.ask(id),
    onTraced: (requests) => tell({ kind: 'traced', requests }),
    schemaAgreement: (questions) => {
      const question = nextQuestion++
      const { promise, resolve } = Promise.withResolvers<void>()
      waiting.set(question, resolve)
      tell({ kind: 'schemaQuestion', question, questions })
      return promise
    },
  })
  for (const peer of start.peers) links.connect(peer, (id) => plane.knownStatement(id))

  port.on('message', (message: ToPlane) => {
    switch (message.kind) {
      case 'snapshot':
        plane.setSnapshot(message.snapshot)
        break
      case 'settings':
        plane.setSettings(message.settings)
        break
      case 'logLevels':
        log.setLevels(message.levels)
        break
      case 'nodeStatus':
        plane.setNodeStatus(message.status)
        break
      case 'tls':
        plane.setTls(message.tls)
        break
      case 'event':
        plane.announce(message.event)
        break
      case 'schemaAgreed':
        waiting.get(message.question)?.()
        waiting.delete(message.question)
        break
      case 'call':
        carryOut(message.what, plane, links)
          .then((result) => {
            tell({ kind: 'done', call: message.call, result })
            if (result.name === 'close') port.close()
          })
          .catch((error: unknown) => {
            tell({ kind: 'failed', call: message.call, message: messageOf(error) })
          })
        break
    }
  })
}

if (parentPort !== null) run(parentPort, workerData)
