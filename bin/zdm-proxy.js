#!/usr/bin/env node
import { launch } from './launch.js'

// Until main.ts is there: it reads everything anew, and nobody who asks for that wants an end.
process.on('SIGHUP', () => undefined)
await launch('src/main.ts')
