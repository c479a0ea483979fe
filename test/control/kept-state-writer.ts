/** The process that state-store.test.ts kills: changes the state for ever, and says which it is at. */
import { FileStateStore } from '../../src/control/state-store.ts'
import { stateIn } from './instances.ts'

const store = new FileStateStore(process.argv[2]!)
const first = Number(process.argv[3])
for (let revision = first; ; revision++) {
  store.stage(stateIn(revision % 2 === 0 ? 'dual-read' : 'target-reads', { revision }))
  process.stdout.write(`staged ${revision}\n`)
  store.commit()
  process.stdout.write(`committed ${revision}\n`)
}
