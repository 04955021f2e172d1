// Whether somebody has a port already. Asked before anything starts, because one line is a better answer than the logs of
// three processes.
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import type { HostPlan } from './plan.ts'

/** A line for each port that somebody has. */
export async function takenPorts(plans: readonly HostPlan[], redisPort: number | undefined): Promise<string[]> {
  const asked = plans.flatMap(({ number, listeners }) =>
    listeners
      .filter(({ port }) => port !== 0)
      .map(async ({ name, protocol, host, port }) => {
        const reason = await refusal(protocol, host === 'localhost' ? '127.0.0.1' : host, port)
        return reason && `${protocol} port ${port} of ${name} of host ${number}: ${reason}`
      }),
  )
  if (redisPort !== undefined) {
    asked.push(
      refusal('tcp', '127.0.0.1', redisPort).then((reason) => reason && `port ${redisPort} of redis: ${reason}`),
    )
  }
  return (await Promise.all(asked)).filter((line) => line !== '')
}

/** Why it cannot be listened on; empty: it can. */
function refusal(protocol: 'tcp' | 'udp', host: string, port: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const refuse = ({ code, message }: NodeJS.ErrnoException): void =>
    resolve(code === 'EADDRINUSE' ? 'somebody has it already' : message)
  if (protocol === 'tcp') {
    const server = createServer()
    server.once('error', refuse)
    server.listen({ host, port }, () => server.close(() => resolve('')))
  } else {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    socket.once('error', refuse)
    socket.bind(port, host, () => socket.close(() => resolve('')))
  }
  return promise
}
