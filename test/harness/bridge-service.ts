// A service for tests of the bridge, loaded through `modules`: lines that publish, listen, and keep what has a time to
// live. Each line begins with a word of the client's that its answer repeats; what is heard comes as `: channel text`,
// a gap as `! channel`.
import {
  type Bridge,
  type ChannelSubscription,
  type Connection,
  defineActor,
  defineService,
  PolyloopError,
  type ServiceContext,
  type TcpHandler,
} from '../../src/index.ts'

const NEWLINE = 0x0a

/** What a connection listens to, by channel. */
type Ears = Map<string, ChannelSubscription>

/** Says on a channel what it is told. */
export const herald = defineActor({
  kind: 'herald',
  create: () => ({}),
  on: {
    cry: (_state, text: string, { id, bridge }) => bridge.publish({ channel: id, payload: Buffer.from(text) }),
  },
})

function listen(bridge: Bridge, connection: Connection<Ears>, channel: string): Promise<void> {
  const subscription = bridge.subscribe(channel, {
    message: (payload) => void connection.send(`: ${channel} ${payload}\n`),
    gap: () => void connection.send(`! ${channel}\n`),
  })
  connection.state.set(channel, subscription)
  return subscription.confirmed
}

async function obey(context: ServiceContext<unknown>, connection: Connection<Ears>, line: string): Promise<string> {
  const [command = '', name = '', ...rest] = line.split(' ')
  const text = rest.join(' ')
  const { bridge } = context
  switch (command) {
    case 'hear':
      await listen(bridge, connection, name)
      return 'ok'
    case 'ignore':
      connection.state.get(name)?.end()
      return 'ok'
    case 'say':
      return `${await bridge.publish({ channel: name, payload: Buffer.from(text) })}`
    case 'cry':
      return `${await context.actor(herald, name).ask('cry', text)}`
    case 'set':
      await bridge.set({ key: name, value: Buffer.from(text) })
      return 'ok'
    case 'get':
      return textOf(await bridge.get({ key: name }))
    case 'take':
      return textOf(await bridge.take({ key: name }))
    case 'append':
      return `${(await bridge.append({ log: name, payload: Buffer.from(text), countMax: 100, ttlSeconds: 60 })).offset}`
    case 'read':
      return (await bridge.read({ log: name, offset: 0, count: 100 })).entries
        .map(({ payload }) => textOf(payload))
        .join()
    default:
      return `what is ${command}`
  }
}

export const crier = defineService({
  name: 'crier',
  usesBridge: true,
  listeners: { tcp: { port: 0 } },
  async start(context) {
    // A service may call the bridge before it serves anybody.
    const started = await context.bridge.ping().then(() => 'reached', codeOf)
    const answer = async (connection: Connection<Ears>, line: string): Promise<void> => {
      const [word = '', ...rest] = line.split(' ')
      const command = rest.join(' ')
      const text = command === 'started' ? started : await obey(context, connection, command).catch(codeOf)
      connection.send(`${word} ${text}\n`)
    }
    const tcp: TcpHandler<Ears> = {
      open: () => new Map(),
      data(connection, bytes) {
        let start = 0
        for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
          void answer(connection, bytes.toString('utf8', start, end))
          start = end + 1
        }
        return start
      },
      close({ state }) {
        for (const subscription of state.values()) subscription.end()
      },
    }
    return { tcp: tcp as TcpHandler }
  },
})

function textOf(value: Uint8Array | undefined): string {
  return value === undefined ? 'none' : Buffer.from(value).toString()
}

function codeOf(error: unknown): string {
  return error instanceof PolyloopError ? error.code : String(error)
}
