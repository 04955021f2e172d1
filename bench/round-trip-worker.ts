// One end of a round trip for ring-round-trip.bench.ts: asks or answers, over a Mesh or over a bare MessagePort.
import { type MessagePort, parentPort } from 'node:worker_threads'
import { systemClock } from '../src/lib/clock.ts'
import type { BellKind } from '../src/ring/bell.ts'
import type { LinkEnd } from '../src/ring/link.ts'
import { Mesh } from '../src/ring/mesh.ts'

export const MESSAGE_BYTES = 64

export type Carrier =
  | {
      readonly kind: 'mesh'
      readonly self: number
      readonly doorbells: SharedArrayBuffer
      readonly link: LinkEnd
      readonly bell: BellKind
    }
  | { readonly kind: 'port'; readonly port: MessagePort }

export interface Task {
  readonly role: 'ask' | 'answer'
  readonly carrier: Carrier
  /** Asks in flight at once. */
  readonly window: number
  /** A pause before each ask. */
  readonly paced: boolean
  readonly count: number
  /** What bare ports post; default: MESSAGE_BYTES bytes. */
  readonly value?: unknown
}

/** The asker's result. */
export interface Done {
  readonly perSecond: number
  readonly p50Us: number
  readonly p99Us: number
  readonly answers: number
}

/** Both carriers behind the same two functions, so that the loops below cost them the same. */
interface Channel {
  send(): void
  close(): void
}

function open({ carrier, value }: Task, onMessage: () => void): Channel {
  const message = Buffer.alloc(MESSAGE_BYTES, 7)
  if (carrier.kind === 'port') {
    const { port } = carrier
    const posted = value ?? message
    port.on('message', onMessage)
    return { send: () => port.postMessage(posted), close: () => port.close() }
  }
  const { self, doorbells, link, bell } = carrier
  const mesh = new Mesh({
    self,
    generation: 1,
    doorbells,
    requestLink: () => {},
    sink: onMessage,
    overflowBytesMax: 8 * 1024 * 1024,
    messageBytesMax: 1024 * 1024,
    clock: systemClock,
    bell,
  })
  mesh.attach(link)
  return {
    send() {
      if (!mesh.send(link.peer, 'data', 1, message, message.length)) throw new Error('overloaded')
    },
    close: () => mesh.close(),
  }
}

/** Closed by the next task: the last answer has arrived by then. */
let last: Channel | undefined

parentPort?.on('message', (task: Task) => {
  last?.close()
  last = task.role === 'ask' ? ask(task) : answer(task)
})

function answer(task: Task): Channel {
  let answered = 0
  const channel = open(task, () => {
    channel.send()
    if (++answered === task.count) parentPort?.postMessage('answered')
  })
  return channel
}

function ask(task: Task): Channel {
  const { count, window, paced } = task
  const roundTripsUs = new Float64Array(count)
  let asked = 0
  let answers = 0
  let startMs = 0
  // With more in flight the clock would cost more than the mesh: there the rate is the figure.
  const timed = window === 1
  let askedMs = 0
  const send = (): void => {
    asked++
    if (timed) askedMs = performance.now()
    channel.send()
  }
  const channel = open(task, () => {
    if (timed) roundTripsUs[answers] = (performance.now() - askedMs) * 1000
    answers++
    if (answers === count) {
      roundTripsUs.sort()
      parentPort?.postMessage({
        perSecond: count / ((performance.now() - startMs) / 1000),
        p50Us: roundTripsUs[count >> 1] ?? 0,
        p99Us: roundTripsUs[Math.floor(count * 0.99)] ?? 0,
        answers,
      } satisfies Done)
    } else if (asked < count) {
      // Paced: a millisecond, longer than any polling, so that both threads sleep, as those do that have little to say.
      if (paced) setTimeout(send, 1)
      else send()
    }
  })
  // Main told the answerer first; after this both ends are open and asleep.
  setTimeout(() => {
    startMs = performance.now()
    for (let index = 0; index < window; index++) send()
  }, 20)
  return channel
}
