// `polyloop load-test <target>`: the general load generator. Plans, runs one target after another, prints.
import { randomInt } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { systemClock } from '../lib/clock.ts'
import { type LoadTestOptions, parseLoadPlans } from './load/plan.ts'
import type { TextSink } from './load/progress.ts'
import { formatReport, type RunReport } from './load/report.ts'
import { runLoad } from './load/run.ts'

/** What a command may touch of the outside. */
export interface LoadTestIo {
  readonly stdout: TextSink
  readonly stderr: TextSink
  /** Aborted by Ctrl-C: the run ends early and is reported. */
  readonly signal: AbortSignal
}

/** Answers the exit status: 0, 1 when there was an error or a message is missing, 2 when the command makes no sense. */
export async function runLoadTest(target: string, options: LoadTestOptions, io: LoadTestIo): Promise<number> {
  const { plans, problems } = parseLoadPlans(target, options, {
    cores: availableParallelism(),
    seed: randomInt(2 ** 32),
  })
  if (problems !== undefined) {
    for (const problem of problems) io.stderr.write(`load-test: ${problem}\n`)
    return 2
  }
  const reports: RunReport[] = []
  for (const plan of plans) {
    if (io.signal.aborted) break
    try {
      const report = await runLoad(plan, { clock: systemClock, signal: io.signal, progress: io.stderr })
      if (options.json !== true) io.stdout.write(`${reports.length > 0 ? '\n' : ''}${formatReport(report)}`)
      reports.push(report)
    } catch (error) {
      // The host is unknown, or a generator thread died: there is nothing to report.
      io.stderr.write(`load-test: ${plan.url}: ${error instanceof Error ? error.message : String(error)}\n`)
      return 1
    }
  }
  const ok = reports.every((report) => report.ok)
  if (options.json === true) io.stdout.write(`${JSON.stringify({ ok, runs: reports }, null, 2)}\n`)
  return ok ? 0 : 1
}
