// Scenarios that are tests of the ordinary suites with far larger counts, run by Node's own runner in a process.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { defineScenario, type Scenario, type SoakFigure } from './scenario.ts'

const ROOT = join(import.meta.dirname, '../..')
/** What the runner says of itself. */
const SUMMARY = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /
const LINES_SHOWN = 40

export const websocketFuzz = suite({
  claim: 'Whatever bytes a client sends, our WebSocket receiver makes of them what ws makes of them.',
  limitMs: 20 * 60_000,
  file: 'test/conformance/websocket/differential.test.ts',
  variable: 'POLYLOOP_FUZZ_STREAMS',
  count: 200_000,
  quickCount: 2_000,
})

export const rings = suite({
  claim: 'Two threads that hammer each other lose, double, damage and reorder nothing, and no wake-up gets lost.',
  limitMs: 20 * 60_000,
  file: 'test/integration/ring-threads.test.ts',
  variable: 'POLYLOOP_TEST_RING_MESSAGES',
  count: 3_000_000,
  quickCount: 100_000,
})

function suite(options: {
  readonly claim: string
  readonly limitMs: number
  readonly file: string
  /** The environment variable with the count. */
  readonly variable: string
  readonly count: number
  readonly quickCount: number
}): Scenario {
  const { claim, limitMs, file, variable } = options
  return defineScenario({
    claim,
    limitMs,
    async run({ quick, log }) {
      const count = quick ? options.quickCount : options.count
      const environment = { PATH: process.env.PATH, [variable]: `${count}` }
      const line = ['--test', '--test-reporter=spec', file]
      const child = spawn(process.execPath, line, { cwd: ROOT, env: environment, stdio: ['ignore', 'pipe', 'inherit'] })
      const exited = once(child, 'exit') as Promise<[number | null]>
      const lines: string[] = []
      for await (const text of createInterface(child.stdout)) {
        lines.push(text)
        if (text.startsWith('✔')) log(text)
      }
      const [status] = await exited
      assert.equal(status, 0, lines.slice(-LINES_SHOWN).join('\n'))
      return [{ name: variable, value: `${count}` }, ...lines.flatMap(figureOf)]
    },
  })
}

/** A passed test with its time, or one of its diagnostics. */
function figureOf(line: string): SoakFigure[] {
  const [, title, time] = /^✔ (.+) \(([\d.]+)ms\)$/.exec(line) ?? []
  if (title !== undefined) return [{ name: title, value: `${(Number(time) / 1000).toFixed(1)} s` }]
  const [, name, value] = /^ℹ (.+): (\d+)$/.exec(line) ?? []
  return name === undefined || value === undefined || SUMMARY.test(name) ? [] : [{ name, value }]
}
