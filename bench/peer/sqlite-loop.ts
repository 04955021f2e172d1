// The peer of chat's throughput: a loop that does nothing but store messages, so many to a commit.
// `sqlite-loop.ts PATH BATCH WARMUP_MS DURATION_MS` prints {"rows":n,"commits":n,"elapsedMs":n,"cpuMs":n}.
import { createChatTable } from '../chat-table.ts'

const [path = '', batch, warmupMs, durationMs] = process.argv.slice(2)
const CONTENT = 'x'.repeat(64)
const table = createChatTable(path)

/** A batch that is no whole number is one of its two neighbours, in turn. */
function run(forMs: number): { rows: number; commits: number; elapsedMs: number } {
  const startMs = performance.now()
  let rows = 0
  let commits = 0
  let elapsedMs = 0
  while (elapsedMs < forMs) {
    commits++
    const until = Math.max(rows + 1, Math.round(commits * Number(batch)))
    table.begin()
    for (; rows < until; rows++) table.add(CONTENT)
    table.commit()
    elapsedMs = performance.now() - startMs
  }
  return { rows, commits, elapsedMs }
}

run(Number(warmupMs))
const before = process.cpuUsage()
const result = run(Number(durationMs))
const { user, system } = process.cpuUsage(before)
console.log(JSON.stringify({ ...result, cpuMs: (user + system) / 1_000 }))
