/** The clients of every instance of the deployment: who they are, and letting some of them go. */
import { messageOf } from '../message-of.ts'
import type { InstanceClient } from './coordinate.ts'
import type { ClientCloseReport, ClientReport, ClientSelection, Requester } from './report.ts'

/** Never rejects: an instance that does not answer has an error. */
export const clientsEverywhere = async (
  instances: readonly InstanceClient[],
): Promise<ClientReport> => {
  const all = instances.map(async (instance) => {
    const { name } = instance
    try {
      return { name, ...(await instance.clients()), error: null }
    } catch (error) {
      return { name, groups: [], unlistedConnections: 0, error: messageOf(error) }
    }
  })
  return { instances: await Promise.all(all) }
}

/** Never rejects: an instance that does not answer has an error, and its clients may be there still. */
export const closeEverywhere = async (
  instances: readonly InstanceClient[],
  selection: ClientSelection,
  requester: Omit<Requester, 'force'>,
): Promise<ClientCloseReport> => {
  const all = instances.map(async (instance) => {
    const { name } = instance
    try {
      return { name, closed: await instance.closeClients(selection, requester), error: null }
    } catch (error) {
      return { name, closed: null, error: messageOf(error) }
    }
  })
  return { instances: await Promise.all(all) }
}
