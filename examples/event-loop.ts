// The bare event loop, without services, shards or configuration: `node examples/event-loop.ts`. One loop runs all of
// it: a source that pours as fast as it is read, a relay in front of it, clients, and a server that loses its patience.
import { type Connection, createEventLoop, type TcpHandler } from '../src/index.ts' // you write: 'polyloop'

const HOST = '127.0.0.1'
const CHUNK = Buffer.alloc(64 * 1024, 'x')
const SOURCE_BYTES = 16 * 1024 * 1024
const PATIENCE_MS = 300

const loop = createEventLoop({ limits: { sendBufferHighBytes: 256 * 1024, sendBufferLowBytes: 64 * 1024 } })

// ---- writable: `send` answers false when too much is unsent, `writable` says when to go on ---------------------------

let waits = 0
const source: TcpHandler<{ leftBytes: number }> = {
  open: () => ({ leftBytes: SOURCE_BYTES }), // the answer becomes `connection.state`
  data: pour, // whatever it is asked for
  writable: pour,
}
function pour(connection: Connection<{ leftBytes: number }>): void {
  const { state } = connection
  while (state.leftBytes > 0) {
    state.leftBytes -= CHUNK.length
    if (connection.send(CHUNK)) continue
    waits++
    return
  }
  connection.close() // after everything that was sent
}

// ---- a connection added from a handler: the relay opens one to the source for each client ---------------------------

/** A connection whose state is the other one of its pair. */
interface End extends Connection<End> {}

const relay: TcpHandler<End> = {
  open(client) {
    client.lowPriority = true // served after everybody else, a few in each turn
    // What is sent before it is connected waits; when it cannot connect, its `close` is called with reason `error`.
    return loop.connect<End>({ address: HOST, port: sourcePort }, upstreamOf(client))
  },
  data: forward,
  writable: (client) => client.state.resume(),
  close: (client) => client.state.close(),
}
function upstreamOf(client: End): TcpHandler<End> {
  return {
    open: () => client,
    data: forward,
    writable: () => client.resume(),
    close: () => client.close(),
  }
}
/** `bytes` is a view that is valid only now; `send` copies it. */
function forward(from: End, bytes: Buffer): void {
  if (!from.state.send(bytes)) from.pause()
}

// ---- readable, and the end ------------------------------------------------------------------------------------------

let received = 0
const reader: TcpHandler<void> = {
  open: (connection) => void connection.send('everything, please'),
  data(_connection, bytes) {
    received += bytes.length
  },
  close(_connection, reason) {
    console.log(`reader: ${received / 1024 ** 2} MiB came through the relay, closed by: ${reason}`)
    console.log(`source: ${waits > 0 ? 'had to wait' : 'never had to wait'}`)
    loop.connect({ address: HOST, port: patientPort }, sleeper)
  },
}

// ---- timeout: no byte went either way for so long -------------------------------------------------------------------

const patient: TcpHandler<void> = {
  open: (connection) => connection.setTimeout(PATIENCE_MS),
  data: (connection, bytes) => void connection.send(bytes),
  timeout(connection) {
    console.log('timeout: the sleeper said nothing more')
    connection.close()
  },
}
const sleeper: TcpHandler<void> = {
  open: (connection) => void connection.send('good night'),
  data: (_connection, bytes) => console.log(`sleeper: hears "${bytes}"`),
  close(_connection, reason) {
    console.log(`sleeper: closed by: ${reason}`)
    loop.after(50, () => void loop.close()) // a timer on the loop's wheel: never early
  },
}

const sourcePort = await loop.listen(0, source, HOST)
const relayPort = await loop.listen(0, relay, HOST)
const patientPort = await loop.listen(0, patient, HOST)
loop.connect({ address: HOST, port: relayPort }, reader)
