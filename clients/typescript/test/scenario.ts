// Runs scenarios: steps that every client of the hub must do alike. What a step means is said where it is done. Knows
// nothing of Node.js, so that it runs in browsers too.
import { binaryHandler } from '../src/binary.ts'
import { type ClientEvents, type ClientOptions, HubError, NeurographWSClient } from '../src/index.ts'

/** A step has `do`, mostly `client` (default `it`), and what else that step needs. */
export interface Step {
  readonly do: string
  readonly [member: string]: unknown
}

export interface Scenario {
  readonly name: string
  readonly steps: readonly Step[]
}

/** Where everything is. */
export interface Surroundings {
  /** Through something that can be cut, and past it. */
  readonly url: string
  readonly directUrl: string
  /** JWTs by role. */
  readonly tokens: Readonly<Record<string, string>>
  /** POST with `?verb=…`: cut, down, up. */
  readonly controlUrl: string
}

type Value = Readonly<Record<string, unknown>>

const WAIT_MS_MAX = 8000
const POLL_MS = 5
const RECONNECT_MS = 20
const EVENTS = ['connected', 'disconnected', 'error', 'pong', 'restored', 'subscribed', 'binary'] as const
const KINDS: Readonly<Record<string, string>> = {
  NOT_CONNECTED: 'closed',
  REFUSED: 'refused',
  TIMEOUT: 'timeout',
  REPLY: 'reply',
}

/** A client and all it told. */
class Actor {
  readonly client: NeurographWSClient
  readonly events: Value[] = []
  readonly told = new Map<string, unknown[]>()
  readonly collect = (event: Value): unknown => this.events.push(event)

  constructor(options: ClientOptions) {
    this.client = new NeurographWSClient(options)
    for (const name of EVENTS) {
      const list: unknown[] = []
      this.told.set(name, list)
      this.client.on(name, (value: ClientEvents[typeof name]) => list.push(value))
    }
  }
}

/** Throws what went wrong, with the step in front. */
export async function runScenario({ steps }: Scenario, surroundings: Surroundings): Promise<void> {
  const run = new Run(surroundings)
  try {
    await run.all(steps)
  } finally {
    await run.end()
  }
}

class Run {
  readonly #surroundings: Surroundings
  readonly #actors = new Map<string, Actor>()
  readonly #saved = new Map<string, unknown>()
  /** Of `feed`: the numbers go on through the scenario. */
  #fed = 0

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings
  }

  async all(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      try {
        await this.#one(step)
      } catch (error) {
        throw new Error(`${JSON.stringify(step).slice(0, 300)}: ${String(error)}`, { cause: error })
      }
    }
  }

  async end(): Promise<void> {
    await this.#control('up')
    await Promise.all([...this.#actors.values()].map(({ client }) => client.close()))
  }

  async #one(step: Step): Promise<void> {
    const { fails } = step
    if (fails === undefined) return this.#perform(step)
    try {
      await this.#perform(step)
    } catch (error) {
      if (!(error instanceof HubError)) throw error
      const { code, message, status } = error
      expect({ kind: KINDS[code], message, status }, fails)
      return
    }
    throw new Error('it was to fail')
  }

  async #perform(step: Step): Promise<void> {
    switch (step.do) {
      case 'open':
        return this.#open(step)
      case 'repeat':
        for (let count = 0; count < Number(step.count); count++) await this.all(step.steps as readonly Step[])
        return
      case 'control':
        return this.#control(String(step.verb))
      default:
        return this.#withClient(step, this.#actor(step))
    }
  }

  async #withClient(step: Step, actor: Actor): Promise<void> {
    const { client } = actor
    switch (step.do) {
      case 'info': {
        const { clientId, userId, timestamp } = client.getConnectionInfo()
        expect({ client_id: clientId, user_id: userId, timestamp, connected: client.isConnected() }, step.expect)
        return
      }
      case 'ping':
        return this.#ping(actor)
      case 'send':
        return client.send(step.frame as object)
      case 'receive': {
        const options = { timeout: Number(step.timeout_ms ?? WAIT_MS_MAX), events: step.events === true }
        expect(await client.receive(options), step.expect)
        return
      }
      case 'subscribe':
        return client.subscribeMultiple(step.channels as string[], actor.collect)
      case 'unsubscribe':
        for (const channel of step.channels as string[]) client.unsubscribe(channel)
        return
      case 'subscriptions':
        return expect(await client.getSubscriptions(), step.expect)
      case 'token':
        this.#saved.set(`$${step.save}`, await client.getReconnectionToken())
        return
      case 'broadcast': {
        const type = step.event_type as string | undefined
        expect(await client.broadcast(String(step.channel), step.data as object, type), step.expect)
        return
      }
      case 'close':
        return client.close()
      case 'feed':
        return this.#feed(step, client)
      case 'send_binary':
        return client.send(await packed(step))
      default:
        return this.#look(step, actor)
    }
  }

  /** Steps that look at what the client told. */
  async #look(step: Step, { client, events, told }: Actor): Promise<void> {
    const list = told.get(String(step.event)) ?? []
    switch (step.do) {
      // The next thing that handlers of `event` were told.
      case 'wait': {
        await until(() => list.length > 0)
        return expect(plain(list.shift()), step.expect)
      }
      case 'none':
        return expect(list.map(plain), [])
      // All events so far: `field` of their data counts from 0, each once and in order.
      case 'events': {
        await until(() => events.length >= Number(step.count))
        const found = events.map(({ data }) => (data as Value)[String(step.field)])
        return expect(
          found,
          Array.from({ length: Number(step.count) }, (_, index) => index),
        )
      }
      // So many control frames by type, each between two bounds.
      case 'tally': {
        const tally: Record<string, number> = {}
        for (let count = 0; count < Number(step.count); count++) {
          const { type = '' } = await client.receive({ timeout: WAIT_MS_MAX })
          tally[type] = (tally[type] ?? 0) + 1
        }
        for (const [type, [least, most]] of Object.entries(step.expect as Record<string, [number, number]>)) {
          const count = tally[type] ?? 0
          if (count < least || count > most) throw new Error(`${count} of ${type}: ${JSON.stringify(tally)}`)
        }
        return
      }
      default:
        throw new Error(`unknown step ${step.do}`)
    }
  }

  async #open(step: Step): Promise<void> {
    const { url, directUrl, tokens } = this.#surroundings
    const { resume, binary, compression, auto_reconnect: autoReconnect } = (step.options ?? {}) as Value
    const query = Object.entries((step.query ?? {}) as Record<string, string>)
    const search = query.map(([name, value]) => `${name}=${this.#saved.get(value) ?? value}`).join('&')
    const options = {
      url: `${step.direct === true ? directUrl : url}${search === '' ? '' : `?${search}`}`,
      token: step.as === undefined ? step.token : tokens[String(step.as)],
      reconnectDelay: RECONNECT_MS,
      ...{ resume, binary, compression, autoReconnect },
    } as ClientOptions
    const actor = new Actor(options)
    this.#actors.set(String(step.client ?? 'it'), actor)
    await actor.client.connect()
  }

  /** Done when it is answered, as in other languages. */
  async #ping({ client, told }: Actor): Promise<void> {
    const [pongs, errors] = [told.get('pong') ?? [], told.get('error') ?? []]
    const [pongCount, errorCount] = [pongs.length, errors.length]
    client.ping()
    await until(() => pongs.length > pongCount || errors.length > errorCount)
    const { cause } = (errors[errorCount] ?? {}) as { readonly cause?: unknown }
    if (cause !== undefined) throw cause
  }

  /** Numbered events, one after the other. */
  async #feed({ channel, count, padding = 0 }: Step, client: NeurographWSClient): Promise<void> {
    for (let index = 0; index < Number(count); index++)
      await client.broadcast(String(channel), { n: this.#fed++, padding: 'x'.repeat(Number(padding)) })
  }

  async #control(verb: string): Promise<void> {
    const { ok, status } = await fetch(`${this.#surroundings.controlUrl}?verb=${verb}`, { method: 'POST' })
    if (!ok) throw new Error(`control answered ${status}`)
  }

  #actor({ client = 'it' }: Step): Actor {
    const actor = this.#actors.get(String(client))
    if (actor === undefined) throw new Error(`there is no client ${client}`)
    return actor
  }
}

/** The message that a step describes. */
export function packed({ type, bytes = '', json, raw, metadata = {} }: Step): Promise<Uint8Array> | Uint8Array {
  if (raw !== undefined) return bytesOf(String(raw))
  const [data, options] = [bytesOf(String(bytes)), metadata as Value]
  switch (type) {
    case 'image':
      return binaryHandler.createImageMessage(data, options)
    case 'audio':
      return binaryHandler.createAudioMessage(data, options)
    case 'video':
      return binaryHandler.createVideoMessage(data, options)
    case 'compressed_json':
      return binaryHandler.createCompressedJsonMessage(json, options)
    default:
      return binaryHandler.createBinaryDataMessage(data, options)
  }
}

/** As JSON has it, and under the names of the protocol. */
export function plain(value: unknown): unknown {
  const { payload, jsonData, ...rest } = value as { readonly payload?: unknown; readonly jsonData?: unknown }
  if (!(payload instanceof Uint8Array)) return value
  return { ...rest, payload: hexOf(payload), json_data: jsonData }
}

export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

export function bytesOf(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(hex.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16))
}

/** Members that are not wanted may be there too, but not in arrays. `$string` and `$number` stand for any of them. */
function expect(found: unknown, wanted: unknown): void {
  if (!matches(found, wanted)) throw new Error(`${JSON.stringify(found)} is not ${JSON.stringify(wanted)}`)
}

function matches(found: unknown, wanted: unknown): boolean {
  if (wanted === undefined) return true
  if (wanted === '$string') return typeof found === 'string'
  if (wanted === '$number') return typeof found === 'number'
  if (Array.isArray(wanted)) {
    if (!Array.isArray(found) || found.length !== wanted.length) return false
    return wanted.every((one, index) => matches(found[index], one))
  }
  if (typeof wanted !== 'object' || wanted === null) return found === wanted
  if (typeof found !== 'object' || found === null) return false
  return Object.entries(wanted).every(([name, value]) => matches((found as Value)[name], value))
}

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = Date.now() + WAIT_MS_MAX
  while (!isTrue()) {
    if (Date.now() > deadline) throw new Error(`not in ${WAIT_MS_MAX} ms`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}
