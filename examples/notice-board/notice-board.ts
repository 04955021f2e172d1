// A notice board for a whole cluster: a line that one client sends comes to every client, whichever host it is connected
// to. `last` shows the newest notices, also to who was not there. With REDIS_URL set hosts share the board; without it
// every process has its own.
import { type Connection, decodeLogEntry, defineService, type TcpHandler } from '../../src/index.ts' // you write: 'polyloop'

const BOARD = 'notice-board'
const LISTEN_AGAIN_MS = 1_000
const NOTICES_MAX = 100
const NOTICES_SECONDS = 24 * 60 * 60
const NEWLINE = 0x0a

export const noticeBoard = defineService({
  name: 'notice-board',
  usesBridge: true,
  listeners: { tcp: { port: 8094 } },

  // Called once in every shard: each listens for all of its clients. The bridge sees to it that Redis sends a message once
  // to each host, however many shards and clients there are.
  start({ bridge, after, log }) {
    const clients = new Set<Connection<undefined>>()
    const listen = (): void => {
      const subscription = bridge.subscribe(BOARD, {
        // A view that is valid during the call; `send` copies.
        message(bytes) {
          const entry = decodeLogEntry(bytes)
          if (entry === undefined) return
          for (const client of clients) client.send(entry.payload)
        },
        gap() {
          for (const client of clients) client.send('* you may have missed something: say `last`\n')
        },
      })
      // Once confirmed it lasts, whatever happens to Redis. While Redis is away it is not: then try again.
      subscription.confirmed.catch((error: unknown) => {
        log.warn('notice-board.deaf', { problem: String(error) })
        after(LISTEN_AGAIN_MS, listen)
      })
    }
    listen()

    async function obey(client: Connection<undefined>, line: Buffer): Promise<void> {
      if (line.toString().trim() !== 'last') {
        await bridge.append({ log: BOARD, payload: line, countMax: NOTICES_MAX, ttlSeconds: NOTICES_SECONDS })
        return
      }
      const { entries } = await bridge.read({ log: BOARD, offset: 0, count: NOTICES_MAX })
      for (const { payload } of entries) client.send(payload)
    }

    const tcp: TcpHandler<undefined> = {
      open(client) {
        clients.add(client)
        return undefined
      },
      data(client, bytes) {
        let start = 0
        for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
          // A copy: `bytes` is a view too, and the call goes on behind this one.
          const line = Buffer.from(bytes.subarray(start, end + 1))
          obey(client, line).catch(() => client.send('? the board is away, try again\n'))
          start = end + 1
        }
        return start
      },
      close: (client) => void clients.delete(client),
    }
    return { tcp: tcp as TcpHandler }
  },
})
