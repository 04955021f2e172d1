// A service for tests, loaded through `modules`: its lines show what handlers see and what their context can do.
import {
  type Connection,
  type ConnectionRef,
  defineService,
  queryValueOf,
  requestTargetOf,
  type ServiceContext,
  type SessionKey,
  type TcpHandler,
  type WebSocketHandler,
} from '../../src/index.ts'

const NEWLINE = 0x0a
const TASK = new URL('./relay-task.ts', import.meta.url).href

function sessionOf(head: Uint8Array, start: number, end: number): SessionKey {
  const found = requestTargetOf(head, start, end)
  if (found.state !== 'target') return found
  const session = queryValueOf(found.target, 'session')
  return session === undefined ? { state: 'none' } : { state: 'key', key: `relay:${session}` }
}

function block(ms: number): void {
  const untilMs = performance.now() + ms
  while (performance.now() < untilMs);
}

async function obey(context: ServiceContext<unknown>, connection: Connection<never>, line: string): Promise<string> {
  const [command = '', first = '', second = '', ...rest] = line.split(' ')
  switch (command) {
    case 'where':
      return String(context.shard.id)
    case 'remote':
      return `${connection.remote.address} ${connection.remote.port}`
    case 'session':
      return connection.session
    case 'ref': {
      const { slot, shard, id } = context.refOf(connection)
      return `${slot}:${shard} ${id}`
    }
    case 'send':
      return String(context.send(refOf(first, second), rest.join(' ')))
    case 'close': {
      const [code, ...reason] = rest
      return String(context.close(refOf(first, second), Number(code), reason.join(' ')))
    }
    case 'connect':
      return await askOther(context, Number(first), second)
    case 'offload':
      return String(
        await context.offload(TASK, first, Number(second)).catch((error: Error) => `failed: ${error.message}`),
      )
    case 'after': {
      const startMs = performance.now()
      await new Promise<void>((resolve) => context.after(Number(first), resolve))
      return performance.now() - startMs >= Number(first) ? 'in time' : 'early'
    }
    case 'low':
      connection.lowPriority = true
      return 'low'
    case 'work':
      block(Number(first))
      return 'worked'
    default:
      return line
  }
}

/** Opens an outbound connection, says one line, and answers what comes back until the other side ends. */
function askOther(context: ServiceContext<unknown>, port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = ''
    context.connect<void>(
      { address: '127.0.0.1', port },
      {
        open: (connection) => {
          connection.send(`${text}\n`)
        },
        data: (connection, bytes) => {
          answer += bytes.toString()
          if (answer.endsWith('\n')) connection.close()
        },
        close: (_connection, reason) => resolve(`${reason}: ${answer.trimEnd()}`),
      },
    )
  })
}

export const relay = defineService({
  name: 'relay',
  listeners: { tcp: { port: 0 }, ws: { port: 0, sessionOf } },
  start(context) {
    const tcp: TcpHandler<never> = {
      data(connection, bytes) {
        let start = 0
        for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
          const line = bytes.toString('utf8', start, end)
          start = end + 1
          void obey(context, connection, line).then((answer) => connection.send(`${answer}\n`))
        }
        return start
      },
    }
    const ws: WebSocketHandler<never> = {
      async message(connection, payload) {
        connection.send(await obey(context, connection, payload.toString()))
      },
    }
    return { tcp: tcp as TcpHandler, ws: ws as WebSocketHandler }
  },
})

function refOf(place: string, id: string): ConnectionRef {
  const [slot = 0, shard = 0] = place.split(':').map(Number)
  return { slot, shard, id: Number(id) }
}
