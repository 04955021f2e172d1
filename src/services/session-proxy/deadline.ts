// A time limit for what somebody else does.
import type { ServiceContext } from '../service.ts'

export const LATE: unique symbol = Symbol('late')

/** What `answer` settles with, or LATE after `ms`; then nobody hears of it any more. */
export function inTime<T>(
  after: ServiceContext<unknown>['after'],
  ms: number,
  answer: Promise<T>,
): Promise<T | typeof LATE> {
  return new Promise((resolve, reject) => {
    const cancel = after(ms, () => resolve(LATE))
    answer.then(
      (value) => {
        cancel()
        resolve(value)
      },
      (error: unknown) => {
        cancel()
        reject(error)
      },
    )
  })
}
