// Scripts that are answered when they are on disk. WAITAOF waits for what its own connection has written, and holds up
// whatever comes behind it there: so they have a connection of their own, and what arrives while one WAITAOF is open is
// sent together, followed by the next one.
//
//     run ──▶ waiting ──(the last group is over)──▶ script, script, …, WAITAOF ──▶ answers
import type { LimitedLogger } from '../observe/logger.ts'
import { type BridgeFailure, type CallOutcome, done, failed } from './bridge-engine.ts'
import { commandFor, type RedisCommand, withText } from './redis-command.ts'
import { failureOfCommand, failureOfLine, replyCodeOf } from './redis-failure.ts'
import { RedisLine } from './redis-line.ts'
import type { RedisLink } from './redis-link.ts'
import type { DiskOptions, RedisEngineOptions } from './redis-options.ts'

/** What one WAITAOF waits for: more would only make the first wait for the last. Calls that wait are the engine's to bound. */
const GROUP_CALLS_MAX = 512
/** One WAITAOF, longest: meanwhile the connection is silent, and a silent one is given up. */
const WAIT_MS_MAX = 1_000
/** A server that cannot do it is asked again after so long. */
const ASK_MS = 1_000
const REFUSALS_LOGGED_PER_SECOND = 1
/** A server that stays read-only, whatever is done about it. */
const READ_ONLY_RESTART_MS = 5_000

export interface RedisGroupOptions extends RedisEngineOptions {
  readonly disk: DiskOptions
  readonly onReconnect: () => void
}

interface Waiting {
  readonly command: RedisCommand
  readonly resolve: (outcome: CallOutcome) => void
}

export class RedisGroup {
  readonly #options: RedisGroupOptions
  readonly #line: RedisLine
  readonly #refused: LimitedLogger
  #waiting: Waiting[] = []
  #isBusy = false
  /** The link that was asked whether it can, when, and what is wrong with it; empty: nothing. */
  #asked: { readonly link: RedisLink; readonly atMs: number; readonly problem: string } | undefined
  #restartedMs = Number.NEGATIVE_INFINITY

  constructor(options: RedisGroupOptions) {
    this.#options = options
    this.#refused = options.log.limited('bridge.disk_ack_refused', REFUSALS_LOGGED_PER_SECOND)
    this.#line = new RedisLine({
      ...options,
      endpoint: undefined,
      // It says at the start what writes would hear.
      onUp: (link) => void this.#problemOf(link),
      onDown: () => {},
    })
  }

  /** Never rejects. */
  run(command: RedisCommand): Promise<CallOutcome> {
    return new Promise((resolve) => {
      this.#waiting.push({ command, resolve })
      if (this.#isBusy) return
      this.#isBusy = true
      // What comes in this turn is one group.
      queueMicrotask(this.#runGroups)
    })
  }

  close(problem: string): void {
    this.#line.close(problem)
  }

  readonly #runGroups = async (): Promise<void> => {
    while (this.#waiting.length > 0) await this.#runGroup(this.#waiting.splice(0, GROUP_CALLS_MAX))
    this.#isBusy = false
  }

  async #runGroup(group: readonly Waiting[]): Promise<void> {
    const { link } = this.#line
    if (link === undefined) return endAll(group, failureOfLine(this.#line.problem))
    const problem = await this.#problemOf(link)
    if (problem !== '') return endAll(group, failed('BRIDGE_REFUSED', problem))
    // It may have ended meanwhile.
    if (link.state !== 'ready') return endAll(group, failureOfLine(this.#line.problem))
    const replies = group.map(({ command }) => replyOf(link, command))
    const unconfirmed = await this.#confirm(link)
    const again: Waiting[] = []
    for (const [index, waiting] of group.entries()) {
      const { command, resolve } = waiting
      const reply = (await replies[index]) as Reply
      if (!('error' in reply)) resolve(unconfirmed ?? reply.outcome)
      else if (replyCodeOf(reply.error) === 'NOSCRIPT' && command.script !== undefined && command.name === 'evalsha') {
        // The server has done nothing: somebody had it forget its scripts.
        again.push({ command: withText(command, command.script), resolve })
      } else {
        this.#look(reply.error, link)
        resolve(failureOfCommand(reply.error))
      }
    }
    this.#waiting.unshift(...again)
  }

  /** Undefined: all that went over the link is on disk. */
  async #confirm(link: RedisLink): Promise<BridgeFailure | undefined> {
    const { disk, clock, limits } = this.#options
    const sinceMs = clock.nowMs()
    for (;;) {
      const leftMs = sinceMs + disk.timeoutMs - clock.nowMs()
      const waitMs = Math.max(1, Math.floor(Math.min(leftMs, WAIT_MS_MAX, limits.pingTimeoutMs / 2)))
      try {
        const [local, replicas] = (await link.run('waitaof', [1, disk.replicas, waitMs])) as [number, number]
        if (local >= 1 && replicas >= disk.replicas) return undefined
        if (clock.nowMs() - sinceMs < disk.timeoutMs) continue
        const problem = `after ${disk.timeoutMs} ms it is on the disk of ${local} server and ${replicas} replicas`
        return failed('BRIDGE_TIMEOUT', problem)
      } catch (error) {
        // It could a moment ago. What was sent is done, and nobody knows whether it is on disk.
        this.#asked = undefined
        return failed('BRIDGE_LOST', error instanceof Error ? error.message : String(error))
      }
    }
  }

  /** Why the server cannot say what is on its disk: it is older than 7.2, or keeps no log. Empty: it can. */
  async #problemOf(link: RedisLink): Promise<string> {
    const { clock } = this.#options
    if (this.#asked?.link === link) {
      if (this.#asked.problem === '' || clock.nowMs() - this.#asked.atMs < ASK_MS) return this.#asked.problem
    }
    let problem = ''
    try {
      await link.run('waitaof', [1, 0, 1])
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error)
      // Its end is told elsewhere.
      if (link.state === 'ready') this.#refused.error({ problem })
    }
    this.#asked = { link, atMs: clock.nowMs(), problem }
    return problem
  }

  #look(error: unknown, link: RedisLink): void {
    const nowMs = this.#options.clock.nowMs()
    if (replyCodeOf(error) !== 'READONLY' || nowMs - this.#restartedMs < READ_ONLY_RESTART_MS) return
    this.#restartedMs = nowMs
    link.end('READONLY it is no master any more')
  }
}

type Reply = { readonly outcome: CallOutcome } | { readonly error: unknown }

function replyOf(link: RedisLink, command: RedisCommand): Promise<Reply> {
  const { name, args } = commandFor(link, command)
  return link.run(name, args).then(
    (reply) => ({ outcome: done(command.answerOf(reply)) }),
    (error: unknown) => ({ error }),
  )
}

function endAll(group: readonly Waiting[], failure: BridgeFailure): void {
  for (const { resolve } of group) resolve(failure)
}
