/**
 * A process for guarded-process.test.ts to kill: it starts the program of its arguments, guarded, and
 * says so. Arguments: directory, remains, program, its arguments.
 */
import { join } from 'node:path'
import { GuardedProcess } from '../../clusters/guarded-process.ts'

const [directory = '', remains = '', program = '', ...args] = process.argv.slice(2)
const logPath = join(directory, 'log')
new GuardedProcess({ program, args, directory, remains, logPath })
process.stdout.write('started\n')
