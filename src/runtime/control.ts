// Calls between threads: Comlink over a MessagePort, with a deadline on every call, because a dead or hung thread never
// answers. Errors cross as data and arrive as what they were.
import type { MessagePort } from 'node:worker_threads'
import { type Endpoint, expose, type Remote, transfer, transferHandlers, wrap } from 'comlink'
import { ERRORS, type ErrorCode, PolyloopError } from '../lib/errors.ts'

export type { Remote } from 'comlink'

/** Longest timeout Node takes. */
const DEADLINE_MS_MAX = 2 ** 31 - 1

interface ThrownData {
  readonly code: ErrorCode | undefined
  readonly details: PolyloopError['details']
  readonly message: string
  readonly stack: string | undefined
}

// Comlink's own handler keeps the message only; ours keeps the code and details too.
transferHandlers.set('throw', {
  canHandle: (value: unknown): value is { value: unknown } =>
    typeof value === 'object' && value !== null && Object.getOwnPropertySymbols(value).length > 0 && 'value' in value,
  serialize({ value }: { value: unknown }): [ThrownData, []] {
    const error = value instanceof Error ? value : new Error(String(value))
    const ours = error instanceof PolyloopError ? { code: error.code, details: error.details } : undefined
    return [{ code: ours?.code, details: ours?.details ?? {}, message: error.message, stack: error.stack }, []]
  },
  deserialize(data: ThrownData): never {
    if (data.code !== undefined && data.code in ERRORS) throw new PolyloopError(data.code, data.details)
    const error = new Error(data.message)
    if (data.stack !== undefined) error.stack = data.stack
    throw error
  },
})

export function serveControl(port: MessagePort, api: object): void {
  expose(api, endpointOf(port))
}

export function controlOf<Api>(port: MessagePort): Remote<Api> {
  return wrap<Api>(endpointOf(port))
}

/** Moves ports along with an argument of a call. */
export function moving<T extends object>(value: T, ports: readonly MessagePort[]): T {
  return transfer(value, [...ports] as unknown as Parameters<typeof transfer>[1])
}

/** The answer, or CONTROL_TIMEOUT when it does not come in time. */
export async function within<T>(ms: number, call: string, thread: string, answer: PromiseLike<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => reject(new PolyloopError('CONTROL_TIMEOUT', { call, thread, ms })),
    Math.min(ms, DEADLINE_MS_MAX),
  )
  try {
    return await Promise.race([answer, promise])
  } finally {
    clearTimeout(timer)
  }
}

// A MessagePort of Node is an EventTarget with the members Comlink asks for; only the declarations do not say so.
function endpointOf(port: MessagePort): Endpoint {
  return port as unknown as Endpoint
}
