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

interface Reminder {
  readonly text: string
  readonly dueMs: number
  readonly cancel: () => void
}

/** The state of one connection: what its `open` answers, and `connection.state` from then on. */
type Pending = Set<Reminder>
/** What goes along when the connection moves to another shard: plain data, so no timers. */
type Frozen = readonly { readonly text: string; readonly delayMs: number }[]

export const reminder = defineService({
  name: 'reminder',
  // Rows below `services.reminder`: checked at the start, typed in `config`, shown by `polyloop config print`.
  options: {
    longest: option(duration({ min: '1ms', max: '24h' }), '1h', 'Longest delay of a reminder.'),
    pendingMax: option(integer({ min: 1, max: 10_000 }), 100, 'Reminders one connection may have pending.'),
  },
  listeners: { tcp: { port: 8090 }, ws: { port: 8091 } },

  // Called once in every shard. What is made here belongs to that shard and its one thread: there are no locks.
  start({ config, metrics, after, clock }) {
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
      if (
        delay === undefined ||
        text === undefined ||
        Number(delay) > config.longest ||
        pending.size >= config.pendingMax
      ) {
        refused.value++
        connection.send(`? <milliseconds, at most ${config.longest}> <text>${end}`)
        return
      }
      taken.value++
      arm(connection, pending, text, Number(delay), end)
    }

    function arm(connection: Connection<Pending>, pending: Pending, text: string, delayMs: number, end: string): void {
      const cancel = after(delayMs, () => {
        pending.delete(reminder)
        connection.send(text + end)
      })
      const reminder: Reminder = { text, dueMs: clock.nowMs() + delayMs, cancel }
      pending.add(reminder)
    }

    function forget({ state }: Connection<Pending>): void {
      for (const { cancel } of state) cancel()
    }

    // A reload, or another number of shards, moves open connections to another thread. A service that has `thaw` lets them.
    function freeze(connection: Connection<Pending>): Frozen {
      forget(connection)
      return [...connection.state].map(({ text, dueMs }) => ({ text, delayMs: Math.max(0, dueMs - clock.nowMs()) }))
    }

    function thaw(connection: Connection<Pending>, frozen: unknown, end: string): Pending {
      const pending: Pending = new Set()
      for (const { text, delayMs } of frozen as Frozen) arm(connection, pending, text, delayMs, end)
      return pending
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
      freeze,
      thaw: (connection, frozen) => thaw(connection, frozen, '\n'),
    }
    const ws: WebSocketHandler<Pending> = {
      open: () => new Set(),
      message: (connection, payload) => ask(connection, payload.toString('utf8'), ''),
      close: forget,
      freeze,
      thaw: (connection, frozen) => thaw(connection, frozen, ''),
    }
    return { tcp, ws, messageBytesMax: LINE_BYTES_MAX }
  },
})
