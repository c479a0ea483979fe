/** The clients of every instance of the deployment: who they are, and letting some of them go. */
import { messageOf } from '../message-of.ts'
import type { InstanceClient } from './coordinate.ts'
import type { ClientCloseReport, ClientReport, ClientSelection, Requester } from './report.ts'

type Answered<T> = T & { readonly name: string; readonly error: string | null }

/** Never rejects: an instance that does not answer has an error, and `nothing` for an answer. */
const askEvery = <T extends object>(
  instances: readonly InstanceClient[],
  ask: (instance: InstanceClient) => Promise<T>,
  nothing: T,
): Promise<Answered<T>[]> =>
  Promise.all(
    instances.map(async (instance) => {
      const { name } = instance
      try {
        return { name, ...(await ask(instance)), error: null }
      } catch (error) {
        return { name, ...nothing, error: messageOf(error) }
      }
    }),
  )

/** Of every instance, its error where it does not answer. Never rejects. */
export const clientsEverywhere = async (
  instances: readonly InstanceClient[],
): Promise<ClientReport> => {
  const nobody = { groups: [], unlistedConnections: 0 }
  return { instances: await askEvery(instances, (instance) => instance.clients(), nobody) }
}

/** Clients of an instance that does not answer may be there still. */
export const closeEverywhere = async (
  instances: readonly InstanceClient[],
  selection: ClientSelection,
  requester: Omit<Requester, 'force'>,
): Promise<ClientCloseReport> => {
  const close = async (instance: InstanceClient): Promise<{ closed: number | null }> => ({
    closed: await instance.closeClients(selection, requester),
  })
  return { instances: await askEvery(instances, close, { closed: null }) }
}
