// Talks to the admin endpoint of a running server. What goes wrong is a value with one line for people: a command
// prints it and sets its exit status.
import { type Command, InvalidArgumentError } from 'commander'
import type { ActorsReport } from '../observe/actor-report.ts'
import type { RuntimeReport } from '../observe/report.ts'

const ADMIN = 'http://127.0.0.1:9464'
const READ_MS_MAX = 2_000
/** The server itself waits two seconds for shards that do not answer. */
const ACTORS_MS_MAX = 5_000
/** A control may read configuration and modules before it answers. */
const CONTROL_MS_MAX = 60_000

export interface AdminArguments {
  readonly admin: string
  readonly token?: string
}

/** `absent`: nobody answers there. */
export type AdminAnswer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly absent: boolean; readonly problem: string }

/** Adds `--admin URL` and `--token TOKEN`. */
export function addAdminOptions(command: Command): Command {
  return command
    .option('--admin <url>', 'admin endpoint of the running server', parseUrl, ADMIN)
    .option('--token <token>', 'its token (default: POLYLOOP_ADMIN_TOKEN)')
}

export class AdminClient {
  readonly url: string
  readonly #headers: Readonly<Record<string, string>>

  constructor(given: AdminArguments, environment: Readonly<Record<string, string | undefined>>) {
    this.url = given.admin
    const token = given.token ?? environment.POLYLOOP_ADMIN_TOKEN
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  }

  runtime(): Promise<AdminAnswer<RuntimeReport>> {
    return this.#ask('/api/v1/runtime', { headers: this.#headers }, READ_MS_MAX)
  }

  actors(): Promise<AdminAnswer<ActorsReport>> {
    return this.#ask('/api/v1/actors', { headers: this.#headers }, ACTORS_MS_MAX)
  }

  /** `path` below /api/v1/. Accepted, or a problem with the server's own words. */
  control(path: string, body: Readonly<Record<string, unknown>> = {}): Promise<AdminAnswer<unknown>> {
    const headers = { ...this.#headers, 'content-type': 'application/json' }
    const init = { method: 'POST', headers, body: JSON.stringify(body) }
    return this.#ask(`/api/v1/${path}`, init, CONTROL_MS_MAX)
  }

  async #ask<T>(path: string, init: RequestInit, deadlineMs: number): Promise<AdminAnswer<T>> {
    try {
      const response = await fetch(new URL(path, this.url), { ...init, signal: AbortSignal.timeout(deadlineMs) })
      const text = await response.text()
      if (response.ok) return { ok: true, value: JSON.parse(text) as T }
      return { ok: false, absent: false, problem: this.#refusal(response.status, text) }
    } catch (error) {
      const isLate = error instanceof Error && error.name === 'TimeoutError'
      if (error instanceof SyntaxError) return { ok: false, absent: false, problem: `${this.url} is no admin endpoint` }
      const why = isLate ? `no answer in ${deadlineMs / 1_000} s` : causeOf(error)
      return { ok: false, absent: true, problem: `no server answers at ${this.url}: ${why}` }
    }
  }

  #refusal(status: number, text: string): string {
    if (status === 401) return `${this.url} needs its token: give --token, or set POLYLOOP_ADMIN_TOKEN`
    if (status === 409) return `refused: ${reasonOf(text) ?? 'not in the present state'}`
    return `${this.url} answered ${status}${reasonOf(text) === undefined ? '' : `: ${reasonOf(text)}`}`
  }
}

/** What is behind `fetch failed`. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause: unknown = error.cause
  if (cause instanceof AggregateError && 'code' in cause) return String(cause.code)
  return cause instanceof Error && cause.message !== '' ? cause.message : error.message
}

function reasonOf(text: string): string | undefined {
  try {
    const { reason, error } = JSON.parse(text) as { readonly reason?: unknown; readonly error?: unknown }
    const found = reason ?? error
    return typeof found === 'string' ? found : undefined
  } catch {
    return undefined // not one of our answers: the status has to say it
  }
}

function parseUrl(value: string): string {
  const url = /^[a-z]+:\/\//.test(value) ? value : `http://${value}`
  if (!URL.canParse(url)) throw new InvalidArgumentError('It is a URL such as http://127.0.0.1:9464.')
  return url
}
