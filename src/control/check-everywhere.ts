/** Both clusters seen from every instance of the deployment. */
import { messageOf } from '../message-of.ts'
import type { InstanceClient } from './coordinate.ts'
import type { CheckReport } from './report.ts'

/**
 * What the instance that is asked finds, and what the others see from where they are: each has its own files,
 * secrets and ways to the clusters. Rejects only as `own` does.
 */
export const checkEverywhere = async (
  own: Promise<CheckReport>,
  others: readonly InstanceClient[],
): Promise<CheckReport> => {
  const [mine, ...results] = await Promise.all([
    own,
    ...others.map(async (client): Promise<Pick<CheckReport, 'isFeasible' | 'instances'>> => {
      try {
        return await client.check()
      } catch (error) {
        const instances = [{ name: client.name, rows: [], error: messageOf(error) }]
        return { isFeasible: false, instances }
      }
    }),
  ])
  const all = [mine, ...results]
  return {
    ...mine,
    isFeasible: all.every(({ isFeasible }) => isFeasible),
    instances: all.flatMap(({ instances }) => instances),
  }
}
