// A service of your own: `250 tea` asks to be told `tea` in 250 ms, over TCP (a line each) or WebSocket (a message each).
// Every shard imports this module. It exports the definition, and keeps nothing that changes at its top level.
import {
  type Connection,
  defineService,
  duration,
  integer,
  option,
  type TcpHandler,
  type WebSocketHandler,
} from '../../src/index.ts' // you write: 'polyloop'

const NEWLINE = 0x0a
const LINE_BYTES_MAX = 1024

/** The state of one connection: what its `open` answers, and `connection.state` from then on. */
type Pending = Set<() => void>

export const reminder = defineService({
  name: 'reminder',
  // Rows below `services.reminder`: checked at the start, typed in `config`, shown by `polyloop config print`.
  options: {
    longest: option(duration({ min: '1ms', max: '24h' }), '1h', 'Longest delay of a reminder.'),
    pendingMax: option(integer({ min: 1, max: 10_000 }), 100, 'Reminders one connection may have pending.'),
  },
  listeners: { tcp: { port: 8090 }, ws: { port: 8091 } },

  // Called once in every shard. What is made here belongs to that shard and its one thread: there are no locks.
  start({ config, metrics, after }) {
    const requests = metrics.counter({
      name: 'reminder_requests_total',
      type: 'counter',
      help: 'Reminders asked for.',
      labels: { result: ['taken', 'refused'] }, // all values there will ever be: no client can blow up the metrics
    })
    const taken = requests.cell({ result: 'taken' })
    const refused = requests.cell({ result: 'refused' })

    function ask(connection: Connection<Pending>, line: string, end: string): void {
      const pending = connection.state
      const [, delay, text] = /^(\d{1,9}) (.+?)\r?$/.exec(line) ?? []
      if (delay === undefined || Number(delay) > config.longest || pending.size >= config.pendingMax) {
        refused.value++
        connection.send(`? <milliseconds, at most ${config.longest}> <text>${end}`)
        return
      }
      taken.value++
      const cancel = after(Number(delay), () => {
        pending.delete(cancel)
        connection.send(text + end)
      })
      pending.add(cancel)
    }

    function forget({ state }: Connection<Pending>): void {
      for (const cancel of state) cancel()
    }

    const tcp: TcpHandler<Pending> = {
      open: () => new Set(),
      // Bytes come as the network cut them. What is not taken comes again in front of the next ones.
      data(connection, bytes) {
        let start = 0
        for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
          ask(connection, bytes.toString('utf8', start, end), '\n')
          start = end + 1
        }
        if (bytes.length - start > LINE_BYTES_MAX) connection.close()
        return start
      },
      close: forget,
    }
    const ws: WebSocketHandler<Pending> = {
      open: () => new Set(),
      message: (connection, payload) => ask(connection, payload.toString('utf8'), ''),
      close: forget,
    }
    return { tcp, ws, messageBytesMax: LINE_BYTES_MAX }
  },
})
