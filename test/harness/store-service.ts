// A service for tests of the store, loaded through `modules`: lines that keep, read and remove states, and an actor that
// keeps its own. Each line begins with a word of the client's that its answer repeats.
import {
  type Connection,
  defineActor,
  defineService,
  PolyloopError,
  type ServiceContext,
  type TcpHandler,
} from '../../src/index.ts'

const NEWLINE = 0x0a

/** A count that lasts: each `add` is on disk before it is answered. */
export const account = defineActor({
  kind: 'account',
  create: async (_id, context) => (await context.load<{ count: number }>()) ?? { count: 0 },
  on: {
    async add(state, amount: number, context) {
      await context.save({ count: state.count + amount })
      state.count += amount
      return state.count
    },
    /** On disk only when it is passivated. */
    note(state, amount: number) {
      state.count += amount
      return state.count
    },
    /** Saves each number up to the last, and waits for none of it. */
    run(state, last: number, context) {
      while (state.count < last) {
        state.count++
        context.save(state).catch(() => {})
      }
      return state.count
    },
    read: (state) => state.count,
    async forget(state, _none: undefined, context) {
      await context.forget()
      state.count = 0
      context.stop()
    },
  },
  passivated: (state, context) => context.save(state),
})

async function obey(context: ServiceContext<unknown>, startedWith: string, line: string): Promise<string> {
  const [command = '', name = '', ...rest] = line.split(' ')
  const { store } = context
  const ref = context.actor(account, name)
  switch (command) {
    case 'put':
      await store.putState({ key: name, value: Buffer.from(rest.join(' ')) })
      return 'ok'
    case 'get': {
      const value = await store.getState({ key: name })
      return value === undefined ? 'none' : Buffer.from(value).toString()
    }
    case 'started':
      return startedWith
    case 'add':
    case 'note':
    case 'run':
      return `${await ref.ask(command, Number(rest[0]))}`
    case 'read':
      return `${await ref.ask('read')}`
    case 'forget':
      await ref.ask('forget')
      return 'ok'
    default:
      return `what is ${command}`
  }
}

export const keeper = defineService({
  name: 'keeper',
  usesStore: true,
  listeners: { tcp: { port: 0 } },
  async start(context) {
    // A service may call the store before it serves anybody.
    const before = await context.store.getState({ key: 'before' }).then(String, codeOf)
    const answer = async (connection: Connection<never>, line: string): Promise<void> => {
      const [word = '', ...rest] = line.split(' ')
      const text = await obey(context, before, rest.join(' ')).catch(codeOf)
      connection.send(`${word} ${text}\n`)
    }
    const tcp: TcpHandler<never> = {
      data(connection, bytes) {
        let start = 0
        for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
          void answer(connection, bytes.toString('utf8', start, end))
          start = end + 1
        }
        return start
      },
      thaw: () => undefined as never,
    }
    return { tcp: tcp as TcpHandler }
  },
})

function codeOf(error: unknown): string {
  return error instanceof PolyloopError ? error.code : String(error)
}
