// The thread that wakes a generator thread of `polyloop load-test` on time.
import { parentPort, workerData } from 'node:worker_threads'
import { servePacer } from '../src/cli/load/pacer.ts'
import { assert } from '../src/lib/assert.ts'
import { systemClock } from '../src/lib/clock.ts'

const port = parentPort
assert(port !== null, 'this file runs as a worker')
servePacer(workerData as SharedArrayBuffer, systemClock, () => port.postMessage(null))
