// What topic-hosts.bench.ts has in every shard: a topic that spans hosts, a shard that hears it, and an actor that says what
// it has heard. One shard a host, so that both are in one thread.
import { defineActor, defineService, defineTopic, type TcpHandler } from '../src/index.ts'

export const TOPIC = 'bench-hosts.a'
/** Messages begin with when they were published, in µs, and a space. */
const SPACE = 0x20

let heard = 0
let takenUs: number[] = []
let awaited: { readonly count: number; readonly resolve: () => void } | undefined

/** The clock that all threads share. */
export function machineUs(): number {
  return Number(process.hrtime.bigint()) / 1_000
}

export const benchHosts = defineTopic<string>({ kind: 'bench-hosts' })

export const hearer = defineActor({
  kind: 'bench-hearer',
  create: () => undefined,
  on: {
    /** Forgets what was heard before. */
    begin() {
      heard = 0
      takenUs = []
    },
    /** Waits until so many were heard; how long each was under way, in µs. */
    async hear(_state, count: number) {
      if (heard < count) await new Promise<void>((resolve) => (awaited = { count, resolve }))
      return takenUs
    },
  },
})

export const ear = defineService({
  name: 'bench-ear',
  listeners: { tcp: { port: 0 } },
  start({ tap }) {
    tap(TOPIC, {
      message(payload) {
        heard++
        takenUs.push(machineUs() - Number(payload.toString('latin1', 0, payload.indexOf(SPACE))))
        if (awaited !== undefined && heard >= awaited.count) awaited.resolve()
      },
      batchEnd() {},
      event() {},
    })
    const tcp: TcpHandler = { data() {} }
    return { tcp }
  },
})
