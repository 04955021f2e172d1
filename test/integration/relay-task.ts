// Tasks for the offload pool, as a user would write them.
import { threadId } from 'node:worker_threads'

export function square(value: number): number {
  return value * value
}

export async function later(value: number): Promise<number> {
  await new Promise((resolve) => setImmediate(resolve))
  return value + 1
}

export function thread(): number {
  return threadId
}

export function fail(value: number): never {
  throw new RangeError(`no ${value}`)
}
