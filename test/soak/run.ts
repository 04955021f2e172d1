// The soak: what takes minutes and so is no part of the test run. `npm run soak [NAME …] [-- --quick]` runs scenarios one
// after another, says how they go, and writes docs/reports/soak-<date>.md (a quick run writes none). The exit status is 1
// when one failed.
import { fork } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { machineLine } from '../../bench/machine.ts'
import { type Outcome, writeReport } from './report.ts'
import { SCENARIOS } from './scenario-list.ts'
import type { FromScenario } from './scenario-program.ts'

const PROGRAM = join(import.meta.dirname, 'scenario-program.ts')
const REPORTS = join(import.meta.dirname, '../../docs/reports')
/** A quick run that takes longer hangs. */
const QUICK_LIMIT_MS = 120_000

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false } },
})
const { quick } = values
const names = Object.keys(SCENARIOS)
for (const name of positionals) {
  if (names.includes(name)) continue
  console.error(`no scenario "${name}"; there are: ${names.join(', ')}`)
  process.exit(2)
}

/** Aborted by Ctrl-C: what runs ends, nothing else starts, and the report stays as it was. */
const interrupt = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupt.abort())
const day = new Date().toISOString().slice(0, 10)
const outcomes: Outcome[] = []
for (const name of positionals.length === 0 ? names : names.filter((name) => positionals.includes(name))) {
  const outcome = await runScenario(name)
  outcomes.push(outcome)
  if (interrupt.signal.aborted) break
  if (quick) continue
  mkdirSync(REPORTS, { recursive: true })
  const file = join(REPORTS, `soak-${day}.md`)
  const title = `# Soak of ${day}\n\nMachine: ${machineLine()}. Repeat with \`npm run soak\`.`
  writeReport(file, title, names, outcomes)
  console.log(`${name}: see ${relative(process.cwd(), file)}`)
}
if (outcomes.some(({ failure }) => failure !== undefined)) process.exitCode = 1

async function runScenario(name: string): Promise<Outcome> {
  const scenario = SCENARIOS[name]
  if (scenario === undefined) throw new Error(`no scenario ${name}`)
  const { claim } = scenario
  const limitMs = quick ? QUICK_LIMIT_MS : scenario.limitMs
  const startMs = performance.now()
  const startedAt = new Date().toISOString()
  const elapsed = (): number => (performance.now() - startMs) / 1000
  const say = (line: string): void => console.log(`${name} ${elapsed().toFixed(0).padStart(4)} s  ${line}`)
  say(claim)
  // A process group of its own: killing it ends the servers and clients as well.
  const child = fork(PROGRAM, [name, quick ? 'quick' : 'full'], { detached: true })
  const { promise, resolve } = Promise.withResolvers<Pick<Outcome, 'failure' | 'figures'>>()
  const fail = (failure: string): void => resolve({ failure, figures: [] })
  child.on('message', (message: FromScenario) => {
    if (message.kind === 'progress') say(message.line)
    else if (message.kind === 'passed') resolve({ figures: message.figures })
    else fail(message.reason)
  })
  child.on('exit', (status, signal) => fail(`its process ended with ${signal ?? status}`))
  const deadline = setTimeout(() => fail(`not done after ${limitMs / 1000} s`), limitMs)
  const interrupted = (): void => fail('interrupted')
  interrupt.signal.addEventListener('abort', interrupted, { once: true })
  const result = await promise
  clearTimeout(deadline)
  interrupt.signal.removeEventListener('abort', interrupted)
  endGroup(child.pid)
  for (const figure of result.figures) say(`${figure.name}: ${figure.value}`)
  say(result.failure === undefined ? 'passed' : `FAILED: ${result.failure}`)
  return { name, claim, startedAt, seconds: elapsed(), ...result }
}

function endGroup(leader: number | undefined): void {
  if (leader === undefined) return
  try {
    process.kill(-leader, 'SIGKILL')
  } catch {
    // It has ended, and nobody of it is left.
  }
}
