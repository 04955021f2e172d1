// The work itself: a plain function that knows nothing of actors. It runs in the pool, a thread for each core.
export interface Range {
  readonly from: number
  readonly to: number
}

/** Primes in [from, to). */
export function countPrimes({ from, to }: Range): number {
  let count = 0
  for (let candidate = Math.max(2, from); candidate < to; candidate++) if (isPrime(candidate)) count++
  return count
}

function isPrime(candidate: number): boolean {
  for (let divisor = 2; divisor * divisor <= candidate; divisor++) if (candidate % divisor === 0) return false
  return true
}
