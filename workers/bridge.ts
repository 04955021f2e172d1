// Entry point of the bridge's thread: reads its data, builds, serves control calls.
import { parentPort, workerData } from 'node:worker_threads'
import { BridgeThread } from '../src/runtime/bridge-thread.ts'
import { serveControl } from '../src/runtime/control.ts'
import type { ThreadData } from '../src/runtime/thread-data.ts'

const data = workerData as ThreadData
if (parentPort === null) throw new Error('this file runs in a worker thread')
serveControl(data.control, new BridgeThread(data, parentPort))
