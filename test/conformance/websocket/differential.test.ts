import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Outcome, runOracle, runOurs } from './oracle.ts'
import { type ClientStream, createStream } from './stream-generator.ts'

const STREAMS = Number(process.env.POLYLOOP_FUZZ_STREAMS ?? 2000)
const SEED = Number(process.env.POLYLOOP_FUZZ_SEED ?? Date.now() % 1_000_000_000)

test(`receiver: what ws makes of a stream, we make of it (seed ${SEED}, ${STREAMS} streams)`, async (context) => {
  const seen = new Map<string, number>()
  for (let i = 0; i < STREAMS; i++) {
    const stream = createStream(SEED + i)
    const oracle = await runOracle(stream)
    const ours = runOurs(stream)
    const known = knownDifference(oracle, ours)
    if (known === undefined && !isSame(oracle.events, ours.events)) assert.fail(report(stream, oracle, ours))
    if (known !== undefined) count(seen, `known difference: ${known}`)
    for (const event of ours.events) count(seen, kindOf(event))
  }
  for (const [kind, times] of [...seen].sort()) context.diagnostic(`streams with ${kind}: ${times}`)
  // A generator that stopped inventing failures would prove nothing.
  if (STREAMS >= 2000) {
    for (const kind of ['text', 'binary', 'ping', 'pong', 'close', 'fail 1002', 'fail 1007', 'fail 1009']) {
      assert.ok((seen.get(kind) ?? 0) >= 20, `the streams contain ${kind}`)
    }
  }
})

/**
 * Where ws and we may differ, both within the RFCs:
 * - We inflate a fragmented message when its last fragment is here, ws fragment by fragment. If ws fails at an earlier
 *   fragment, we deliver the control frames that follow, and fail at the last one (or meet another end before).
 * - Deflate data that end (BFINAL) in a fragment that is not the last: ws inflates the rest as if it began anew, we
 *   ignore what follows the end. RFC 7692 lets a sender do neither.
 * - Data that are too long and then corrupt: ws inflates them and the tail in two steps, we in one. So one may see the
 *   length (1009) and the other the damage (1007) first.
 * Everything up to the first such place must be equal.
 */
function knownDifference(oracle: Outcome, ours: Outcome): string | undefined {
  const at = oracle.restartedAt
  if (at !== undefined && !isSame(oracle.events, ours.events)) {
    const isSameBefore = isSame(oracle.events.slice(0, at), ours.events.slice(0, at))
    return isSameBefore ? 'deflate data ended in an earlier fragment' : undefined
  }
  if (oracle.inflateFailure === 'earlier') {
    const before = oracle.events.slice(0, -1)
    if (!isSame(before, ours.events.slice(0, before.length))) return undefined
    const after = ours.events.slice(before.length)
    const isHarmless = after.every((event, index) => {
      if (event.startsWith('ping ') || event.startsWith('pong ')) return true
      return index === after.length - 1 && (event.startsWith('fail ') || event.startsWith('close '))
    })
    return isHarmless ? 'ws failed at an earlier fragment' : undefined
  }
  if (oracle.inflateFailure === 'last' && ours.inflateFailure === 'last' && !isSame(oracle.events, ours.events)) {
    const isSameBefore = isSame(oracle.events.slice(0, -1), ours.events.slice(0, -1))
    return isSameBefore ? 'too long and corrupt' : undefined
  }
  return undefined
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((event, index) => event === b[index])
}

function kindOf(event: string): string {
  return event.startsWith('fail ') ? event : event.slice(0, event.indexOf(' '))
}

function count(seen: Map<string, number>, kind: string): void {
  seen.set(kind, (seen.get(kind) ?? 0) + 1)
}

function report(stream: ClientStream, oracle: Outcome, ours: Outcome): string {
  const show = (events: readonly string[]): string =>
    events.map((event) => `    ${JSON.stringify(event.slice(0, 100))} (${event.length})`).join('\n')
  return [
    `seed ${stream.seed}: again with POLYLOOP_FUZZ_SEED=${stream.seed} POLYLOOP_FUZZ_STREAMS=1`,
    `  limit ${stream.messageBytesMax}, deflate ${stream.deflate}, ${stream.bytes.length} bytes in ${stream.pieces.length} pieces`,
    `  ${stream.bytes.subarray(0, 300).toString('hex')}`,
    `  ws:\n${show(oracle.events)}`,
    `  ours:\n${show(ours.events)}`,
  ].join('\n')
}
