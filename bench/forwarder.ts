/**
 * The floor to compare with: a process that forwards bytes and reads none of them. Each client gets a
 * connection to both clusters; every byte of the client goes to both, the origin's bytes come back,
 * the target's are thrown away. It buffers without bound only what its sockets do not take, and stops
 * reading from a client while a cluster is behind.
 */
import { connect, createServer, type Socket } from 'node:net'
import { serveRequests } from './child.ts'

export type ForwarderRequest = { readonly originPort: number; readonly targetPort: number }

const QUEUED_BYTES_MAX = 1024 * 1024

const forward = (client: Socket, { originPort, targetPort }: ForwarderRequest): void => {
  const clusters = [originPort, targetPort].map((port) =>
    connect({ host: '127.0.0.1', port, noDelay: true }),
  )
  const [origin, target] = clusters as [Socket, Socket]
  const isBehind = (): boolean =>
    clusters.some(({ writableLength }) => writableLength > QUEUED_BYTES_MAX)
  client.on('data', (chunk) => {
    origin.write(chunk)
    target.write(chunk)
    if (isBehind()) client.pause()
  })
  origin.on('data', (chunk) => client.write(chunk))
  target.resume()
  for (const cluster of clusters) {
    cluster.on('drain', () => {
      if (!isBehind()) client.resume()
    })
  }
  for (const socket of [client, ...clusters]) {
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      for (const other of [client, ...clusters]) other.destroy()
    })
  }
}

serveRequests(async (body): Promise<number> => {
  const server = createServer({ noDelay: true }, (client) =>
    forward(client, body as ForwarderRequest),
  )
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: '127.0.0.1', port: 0 }, resolve)
  })
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
})
