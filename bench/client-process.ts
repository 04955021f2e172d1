// The lean load generator, as a bench sees it: a process on a core of its own that does one thing at a time.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type {
  ClientAnswer,
  ClientCommand,
  ExchangeCommand,
  Exchanged,
  OpenCommand,
  Opened,
  PublishCommand,
  Published,
  SubscribeCommand,
} from './client-message.ts'
import { pinned } from './machine.ts'

const PROGRAM = join(import.meta.dirname, 'client-program.ts')
const AT_ONCE = 64

export class ClientProcess implements AsyncDisposable {
  readonly #child: ChildProcess

  constructor(child: ChildProcess) {
    this.#child = child
  }

  async open(
    order: Omit<OpenCommand, 'kind' | 'atOnce' | 'addresses'> & { readonly addresses?: number },
  ): Promise<Opened> {
    const answer = await this.#ask({ kind: 'open', atOnce: AT_ONCE, addresses: 1, ...order })
    if (answer.kind !== 'opened') throw new Error(`not opened: ${answer.kind}`)
    return answer.opened
  }

  async exchange(order: Omit<ExchangeCommand, 'kind'>): Promise<Exchanged> {
    const answer = await this.#ask({ kind: 'exchange', ...order })
    if (answer.kind !== 'exchanged') throw new Error(`not exchanged: ${answer.kind}`)
    return answer.exchanged
  }

  /** A crowd of subscribers, and their publisher. */
  async subscribe(order: Omit<SubscribeCommand, 'kind' | 'atOnce'>): Promise<void> {
    await this.#ask({ kind: 'subscribe', atOnce: AT_ONCE, ...order })
  }

  async publish(order: Omit<PublishCommand, 'kind'>): Promise<Published> {
    const answer = await this.#ask({ kind: 'publish', ...order })
    if (answer.kind !== 'published') throw new Error(`not published: ${answer.kind}`)
    return answer.published
  }

  async reset(): Promise<void> {
    await this.#ask({ kind: 'reset' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }

  async #ask(command: ClientCommand): Promise<ClientAnswer> {
    const answered = Promise.withResolvers<ClientAnswer>()
    const ended = (): void => answered.reject(new Error('the load generator ended'))
    this.#child.once('message', answered.resolve)
    this.#child.once('exit', ended)
    try {
      this.#child.send(command)
      const answer = await answered.promise
      if (answer.kind === 'failed') throw new Error(`${command.kind}: ${answer.reason}`)
      return answer
    } finally {
      this.#child.off('message', answered.resolve)
      this.#child.off('exit', ended)
    }
  }
}

export function startClient(): ClientProcess {
  const [file = '', ...line] = pinned('client', [process.execPath, PROGRAM])
  return new ClientProcess(spawn(file, line, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }))
}
