// Runs the suites with Node's own runner. `node test/run.ts` is everything (check included); `node test/run.ts unit`
// is what `npm run check` uses; any other word runs that folder of test/.
//
// A file of a slow suite that fails beside others is run once more, alone: servers, browsers and Redis of two files share the
// machine. What passes only alone is named at the end, as flaky, and is to be mended.
import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'

// Slow suites, which need workers, sockets, browsers or a Redis server; everything else is a unit test.
const SUITES = ['conformance', 'integration', 'faults', 'e2e']
// Files wait for servers most of the time. Nothing in them is timed but with a generous guard.
const CONCURRENCY = availableParallelism()
/** More failing files than these in a suite are no accident: nothing is run again. */
const RETRIED_FILES_MAX = 3
const root = new URL('..', import.meta.url).pathname
// Every file is a process, and most start servers: the same code is stripped and compiled once.
process.env.NODE_COMPILE_CACHE ??= `${root}node_modules/.cache/compile`
const chosen = process.argv[2] ?? 'all'
const flaky: string[] = []

if (chosen === 'all' && !isGood('npm', ['run', '--silent', 'check'])) process.exit(1)
const suites = chosen === 'all' ? SUITES : [chosen]
for (const suite of suites) {
  const files =
    suite === 'unit'
      ? globSync('test/**/*.test.ts', { cwd: root, exclude: [...SUITES, 'soak'].map((name) => `test/${name}/**`) })
      : globSync(`test/${suite}/**/*.test.ts`, { cwd: root })
  if (files.length === 0) continue
  console.log(`\n== ${suite}: ${files.length} files`)
  const failed = failing(files.sort(), CONCURRENCY)
  if (failed.length === 0) continue
  if (suite === 'unit' || failed.length > RETRIED_FILES_MAX) process.exit(1)
  console.log(`\n== ${suite}: once more, alone: ${failed.join(' ')}`)
  if (failing(failed, 1).length > 0) process.exit(1)
  flaky.push(...failed)
}
for (const file of flaky) console.log(`flaky: ${file} failed beside other files and passed alone`)

/** The files among these in which a test failed. */
function failing(files: readonly string[], concurrency: number): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'polyloop-test-'))
  const list = join(folder, 'failed')
  const reporters = [
    ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
    ...['--test-reporter=./test/failed-files.ts', `--test-reporter-destination=${list}`],
  ]
  const args = ['--test', `--test-concurrency=${concurrency}`, '--test-timeout=300000', ...reporters, ...files]
  try {
    if (isGood(process.execPath, args)) return []
    const failed = readFileSync(list, 'utf8')
      .split('\n')
      .filter((file) => file !== '')
    return failed.length > 0 ? failed : [...files]
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function isGood(command: string, args: readonly string[]): boolean {
  const { status, signal } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) console.error(`failed: ${command} ${args.slice(0, 3).join(' ')} … (${signal ?? status})`)
  return status === 0
}
