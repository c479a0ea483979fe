/** Names to addresses, by the system's resolver. */
import { lookup } from 'node:dns/promises'

export type Resolve = (name: string) => Promise<readonly string[]>

/** All addresses of a host name, as the system's resolver orders them. Rejects where there are none. */
export const systemResolve: Resolve = async (name) => {
  const found = await lookup(name, { all: true })
  return found.map(({ address }) => address)
}
