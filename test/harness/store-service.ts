// A service for tests of the store, loaded through `modules`: lines that keep, read and remove states, and an actor that
// keeps its own. Each line begins with a word of the client's that its answer repeats.
import {
  type ActorContext,
  type Connection,
  defineActor,
  defineService,
  PolyloopError,
  type ServiceContext,
  type TcpHandler,
} from '../../src/index.ts'

const NEWLINE = 0x0a

interface Count {
  count: number
}

const create = async (_id: string, context: ActorContext): Promise<Count> =>
  (await context.load<Count>()) ?? { count: 0 }

/** A count that lasts: each `add` is on disk before it is answered. */
export const account = defineActor({
  kind: 'account',
  create,
  on: {
    async add(state, amount: number, context) {
      await context.save({ count: state.count + amount })
      state.count += amount
      return state.count
    },
    /** Saves so many numbers, and waits for none of it. */
    run(state, numbers: number, context) {
      for (let left = numbers; left > 0; left--) {
        state.count++
        context.save(state).catch(() => {})
      }
      return state.count
    },
    /** Posts so many numbers to the first chat, and waits for none of it. */
    post(state, numbers: number, { id, store }) {
      for (let left = numbers; left > 0; left--) {
        const content = `${id} ${++state.count}`
        store.addMessage({ chatId: 1, senderId: 1, content, type: 'Text', createSender: false }).catch(() => {})
      }
      return state.count
    },
    slow: (_state, ms: number) => new Promise<number>((done) => setTimeout(done, ms, ms)),
    read: (state) => state.count,
    async forget(_state, _none: undefined, context) {
      await context.forget()
      context.stop()
    },
  },
})

/** Reads what was posted. */
export const reader = defineActor({
  kind: 'reader',
  create: () => ({}),
  on: {
    total: async (_state, _none: undefined, { store }) =>
      (await store.recentMessages({ chatId: 1, count: 0 }))?.total ?? 0,
    page: async (_state, from: number, { store }) =>
      (await store.messages({ chatId: 1, from, count: 1_000 })).map(({ content }) => content),
  },
})

/** A count that is saved when it is passivated, and only then. */
export const notebook = defineActor({
  kind: 'notebook',
  create,
  on: {
    note(state, amount: number) {
      state.count += amount
      return state.count
    },
    noted: (state) => state.count,
  },
  passivated: (state, context) => context.save(state),
})

async function obey(context: ServiceContext<unknown>, startedWith: string, line: string): Promise<string> {
  const [command = '', name = '', ...rest] = line.split(' ')
  const { store } = context
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
    case 'run':
    case 'post':
    case 'slow':
      return `${await context.actor(account, name).ask(command, Number(rest[0]))}`
    case 'total':
      return `${await context.actor(reader, name).ask(command)}`
    case 'page':
      return (await context.actor(reader, name).ask(command, Number(rest[0]))).join(',')
    case 'read':
      return `${await context.actor(account, name).ask(command)}`
    case 'forget':
      await context.actor(account, name).ask(command)
      return 'ok'
    case 'note':
      return `${await context.actor(notebook, name).ask(command, Number(rest[0]))}`
    case 'noted':
      return `${await context.actor(notebook, name).ask(command)}`
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
