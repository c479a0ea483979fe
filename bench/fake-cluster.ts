/** The process of one fake cluster: a single node (fake-node.ts) that main.ts asks for its counts. */
import { serveRequests } from './child.ts'
import { FakeNode, type FakeNodeOptions, type NodeCounts } from './fake-node.ts'

export type ClusterRequest =
  | { readonly kind: 'start'; readonly options: FakeNodeOptions }
  | { readonly kind: 'counts' }

export type ClusterReply = { readonly port: number; readonly counts: NodeCounts }

let node: FakeNode | null = null

serveRequests(async (body): Promise<ClusterReply> => {
  const request = body as ClusterRequest
  if (request.kind === 'start') node = await FakeNode.start(request.options)
  return { port: node!.port, counts: node!.counts }
})
