/** The load generator's process: one load after the other, as main.ts asks for. */
import { serveRequests } from './child.ts'
import { type LoadJob, LoadRun } from './load.ts'

serveRequests((body) => new LoadRun(body as LoadJob).run())
