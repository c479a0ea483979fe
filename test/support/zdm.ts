/** `zdm` in this process, as a user sees it: what it writes, and its exit status. */
import { runZdm } from '../../src/cli/program.ts'

export const ZDM_VERSION = '9.9.9'
export const ZDM_USER = 'ada@ops'

export type RanZdm = { readonly status: number; readonly out: string; readonly error: string }

/** Not on a terminal, and without waiting between two looks. */
export const zdm = async (
  argv: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<RanZdm> => {
  let out = ''
  let error = ''
  const status = await runZdm(argv, {
    environment,
    isTerminal: false,
    user: ZDM_USER,
    version: ZDM_VERSION,
    out: (written) => {
      out += written
    },
    error: (written) => {
      error += written
    },
    sleep: () => Promise.resolve(),
    signal: new AbortController().signal,
  })
  return { status, out, error }
}
