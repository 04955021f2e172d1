// What rooms cost: a large file to some members, and small messages to many, against a bare `net` server that writes the
// same bytes to as many sockets. The peer stores nothing, checks nothing and has no members; it is the floor.
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeFrame, MESSAGE_TYPE } from '../src/services/rooms/descriptor.ts'
import { defineBench, interleave, median, ratioOf } from './harness.ts'
import { cpuNsOf, usageOf } from './process-usage.ts'
import { type CountingClient, closeAll, openMembers, openPiped } from './rooms-client.ts'
import { type ServerProcess, startPeer, startPolyloop } from './server-process.ts'

const MIB = 1024 * 1024
const RECEIVERS = 4
const MEMBERS = 100
const TEXT = 'x'.repeat(64)
/** Messages on their way at a time. */
const WINDOW = 64
const ROUNDS = 5

interface Round {
  readonly elapsedMs: number
  readonly cpuMs: number
}

export const bench = defineBench({
  question: 'What does a room cost for a large file and for small messages, against a net server that copies bytes?',
  async run({ smoke, log }) {
    const fileBytes = (smoke ? 1 : 64) * MIB
    const messages = smoke ? 100 : 5_000
    const members = smoke ? 10 : MEMBERS
    const spool = join(tmpdir(), `polyloop-bench-${process.pid}`)
    await using stack = new AsyncDisposableStack()
    stack.defer(() => rm(spool, { recursive: true, force: true }))
    const settings = { 'services.rooms.tcp.port': '0', 'services.rooms.spoolDirectory': spool }
    const ours = stack.use(await startPolyloop({ service: 'rooms', settings }))
    const peer = stack.use(await startPeer('pipe-server'))
    const rounds: Record<'file' | 'filePiped' | 'text' | 'textPiped', Round[]> = {
      file: [],
      filePiped: [],
      text: [],
      textPiped: [],
    }
    const noted = async (name: keyof typeof rounds, run: Promise<Round>): Promise<number> => {
      const round = await run
      rounds[name].push(round)
      log(`${name}: ${round.elapsedMs.toFixed(0)} ms, ${round.cpuMs.toFixed(0)} ms of CPU`)
      return round.elapsedMs
    }
    await interleave(smoke ? 1 : ROUNDS, {
      file: () => noted('file', sendFile(ours, openMembers(ours.linePort, RECEIVERS + 1), fileBytes)),
      filePiped: () => noted('filePiped', sendFile(peer, openPiped(peer.port, RECEIVERS), fileBytes)),
      text: () => noted('text', talk(ours, openMembers(ours.linePort, members), messages)),
      textPiped: () => noted('textPiped', talkPiped(peer, openPiped(peer.port, members), messages)),
    })
    const elapsed = (name: keyof typeof rounds): number[] => rounds[name].map(({ elapsedMs }) => elapsedMs)
    const cpu = (name: keyof typeof rounds): number[] => rounds[name].map(({ cpuMs }) => cpuMs)
    const deliveries = messages * members
    const perSecond = (samples: readonly number[], count: number): number => (count / median(samples)) * 1_000
    // The sender of a room is a receiver too.
    const delivered = (fileBytes / MIB) * (RECEIVERS + 1)
    return {
      ratios: [
        {
          name: `rooms / net pipe: time of a file to ${RECEIVERS} others`,
          value: ratioOf(elapsed('file'), elapsed('filePiped')),
        },
        {
          name: `rooms / net pipe: server CPU of a file to ${RECEIVERS} others`,
          value: ratioOf(cpu('file'), cpu('filePiped')),
        },
        {
          name: `rooms / net pipe: time of texts to ${members}`,
          value: ratioOf(elapsed('text'), elapsed('textPiped')),
        },
        { name: `rooms / net pipe: server CPU of texts to ${members}`, value: ratioOf(cpu('text'), cpu('textPiped')) },
      ],
      figures: [
        { name: 'rooms: file, given to members', value: perSecond(elapsed('file'), delivered), unit: 'MiB/s' },
        {
          name: 'net pipe: file, given to receivers',
          value: perSecond(elapsed('filePiped'), (fileBytes / MIB) * RECEIVERS),
          unit: 'MiB/s',
        },
        {
          name: `rooms: texts of 64 bytes to ${members} members`,
          value: perSecond(elapsed('text'), deliveries),
          unit: 'deliveries/s',
        },
        {
          name: `net pipe: the same bytes to ${members} sockets`,
          value: perSecond(elapsed('textPiped'), deliveries),
          unit: 'deliveries/s',
        },
        {
          name: `rooms: texts to ${members} members`,
          value: (median(cpu('text')) / deliveries) * 1_000,
          unit: 'µs of CPU per delivery',
        },
      ],
      hash: deliveries + delivered,
    }
  },
})

/** The last of the clients sends; all the others must have it. */
async function sendFile(
  { pids }: ServerProcess,
  opening: Promise<readonly CountingClient[]>,
  bytes: number,
): Promise<Round> {
  const clients = await opening
  const sender = clients.at(-1)
  const content = Buffer.alloc(bytes, 'file')
  const round = await measured(pids, async () => {
    sender?.socket.write(encodeFrame(MESSAGE_TYPE.file, 'file.bin'.padEnd(8), content))
    await Promise.all(clients.slice(0, -1).map((client) => client.until(() => client.bytes >= bytes)))
  })
  await closeAll(clients)
  return round
}

/** Each message has reached everybody before the one WINDOW behind it is sent. */
async function talk(
  { pids }: ServerProcess,
  opening: Promise<readonly CountingClient[]>,
  messages: number,
): Promise<Round> {
  const members = await opening
  const [sender] = members
  const frame = encodeFrame(MESSAGE_TYPE.utf8, '', TEXT)
  const round = await measured(pids, () =>
    windowed(
      members,
      messages,
      (member) => member.messages,
      () => sender?.socket.write(frame),
    ),
  )
  await closeAll(members)
  return round
}

async function talkPiped(
  { pids }: ServerProcess,
  opening: Promise<readonly CountingClient[]>,
  messages: number,
): Promise<Round> {
  const clients = await opening
  const sender = clients.at(-1)
  // As long as what the room makes of it.
  const header = '{"timestamp":"2026-01-01T00:00:00.000Z","from":"member0"}'
  const frame = encodeFrame(MESSAGE_TYPE.utf8, header, TEXT)
  const count = ({ bytes }: CountingClient): number => Math.floor(bytes / frame.length)
  const round = await measured(pids, () =>
    windowed(clients.slice(0, -1), messages, count, () => sender?.socket.write(frame)),
  )
  await closeAll(clients)
  return round
}

async function windowed(
  clients: readonly CountingClient[],
  messages: number,
  count: (client: CountingClient) => number,
  send: () => unknown,
): Promise<void> {
  for (let sent = 0; sent < messages; ) {
    const until = Math.min(messages, sent + WINDOW)
    for (; sent < until; sent++) send()
    await Promise.all(clients.map((client) => client.until(() => count(client) >= until)))
  }
}

async function measured(pids: readonly number[], run: () => Promise<void>): Promise<Round> {
  const before = usageOf(pids)
  await run()
  const after = usageOf(pids)
  return { elapsedMs: after.atMs - before.atMs, cpuMs: cpuNsOf(before, after) / 1e6 }
}
