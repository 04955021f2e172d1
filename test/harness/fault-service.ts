// A service for tests, loaded through `modules`: its lines (TCP) and messages (WebSocket) make faults on the shard they
// land on. The first line `session KEY` (or `?session=KEY`) chooses that shard; two heads make faults on the acceptor.
import {
  type Connection,
  defineService,
  queryValueOf,
  requestTargetOf,
  type SessionKey,
  type TcpHandler,
  type WebSocketHandler,
} from '../../src/index.ts'

const NEWLINE = 0x0a
const HEAD_CHARACTERS = 256
const PUSH_BYTES = 64 * 1024
const MEBIBYTE = 1024 * 1024
const DOUBLE_BYTES = 8

/** What the acceptor runs: `session KEY\n`, else the peer's address. */
function sessionOfLine(head: Uint8Array, start: number, end: number): SessionKey {
  const text = Buffer.from(head.buffer, head.byteOffset + start, Math.min(end - start, HEAD_CHARACTERS)).toString()
  if (text.startsWith('crash-acceptor')) process.exit(1)
  if (text.startsWith('throw-in-acceptor')) throw new Error('thrown by sessionOf')
  const key = /^session (\S+)\n/.exec(text)?.[1]
  if (key !== undefined) return { state: 'key', key: `fault:${key}` }
  return text.startsWith('session ') && !text.includes('\n') ? { state: 'more' } : { state: 'none' }
}

function sessionOfTarget(head: Uint8Array, start: number, end: number): SessionKey {
  const found = requestTargetOf(head, start, end)
  if (found.state !== 'target') return found
  const session = queryValueOf(found.target, 'session')
  return session === undefined ? { state: 'none' } : { state: 'key', key: `fault:${session}` }
}

function block(ms: number): void {
  const untilMs = performance.now() + ms
  while (performance.now() < untilMs);
}

export const fault = defineService({
  name: 'fault',
  listeners: { tcp: { port: 0, sessionOf: sessionOfLine }, ws: { port: 0, sessionOf: sessionOfTarget } },
  start({ shard }) {
    const held: number[][] = []

    /** Answers, unless the command's effect is that nothing answers. */
    function obey(connection: Connection<never>, line: string, end: string): undefined | Promise<never> {
      const [command, argument = ''] = line.split(' ')
      const answer = (text: string): void => void connection.send(text + end)
      switch (command) {
        case 'session':
        case 'where':
          answer(String(shard.id))
          return undefined
        case 'freeze':
          block(Number(argument))
          answer('thawed')
          return undefined
        case 'crash':
          process.exit(Number(argument))
          break
        case 'crash-in':
          setTimeout(() => process.exit(1), Number(argument))
          answer('soon')
          return undefined
        case 'throw':
          throw new Error('thrown by a handler')
        case 'throw-later':
          setTimeout(() => {
            throw new Error('thrown by a timer')
          }, 0)
          return undefined
        case 'reject':
          return Promise.reject(new Error('rejected by a handler'))
        case 'heap':
          for (let mebibytes = Number(argument); mebibytes > 0; mebibytes--)
            held.push(new Array<number>(MEBIBYTE / DOUBLE_BYTES).fill(held.length + 0.5))
          answer(`held ${held.length}`)
          return undefined
        case 'push': {
          // Without regard to what `send` answers: so it gets over every limit.
          const chunk = Buffer.alloc(PUSH_BYTES, 'p')
          for (let left = Number(argument); left > 0; left -= PUSH_BYTES) connection.send(chunk)
          return undefined
        }
        default:
          answer(line)
          return undefined
      }
      return undefined
    }

    const tcp: TcpHandler<never> = {
      data(connection, bytes) {
        let start = 0
        let failing: Promise<never> | undefined
        for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
          const line = bytes.toString('utf8', start, end)
          start = end + 1
          failing ??= obey(connection, line, '\n')
        }
        return failing ?? start
      },
    }
    const ws: WebSocketHandler<never> = {
      message: (connection, payload) => obey(connection, payload.toString(), ''),
    }
    return { tcp: tcp as TcpHandler, ws: ws as WebSocketHandler }
  },
})
