// A thread of the load generator (`polyloop load-test`): reads its start, builds a Generator, runs it.
import { extname } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { Generator } from '../src/cli/load/generator.ts'
import { Pacer } from '../src/cli/load/pacer.ts'
import type { FromGenerator, GeneratorStart, ToGenerator } from '../src/cli/load/thread-message.ts'
import { assert } from '../src/lib/assert.ts'
import { systemClock } from '../src/lib/clock.ts'

/** How long connections may take to close in good order. */
const CLOSE_MS = 1_000

const port = parentPort
assert(port !== null, 'this file runs as a worker')

function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

function tell(message: FromGenerator): void {
  port?.postMessage(message)
  if (message.type !== 'done') return
  port?.close()
  // The thread ends by itself once its sockets are closed.
  setTimeout(() => process.exit(), CLOSE_MS).unref()
}

const pacerEntry = new URL(`load-pacer${extname(import.meta.url)}`, import.meta.url)
const generator = new Generator(workerData as GeneratorStart, {
  clock: systemClock,
  threadCpuMs,
  createPacer: (wake) => new Pacer(pacerEntry, wake),
  tell,
})
port.on('message', (message: ToGenerator) => generator.handle(message))
generator.connect()
