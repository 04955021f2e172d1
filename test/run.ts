// Runs the suites with Node's own runner. `node test/run.ts` is everything (check included); `node test/run.ts unit`
// is what `npm run check` uses; any other word runs that folder of test/.
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'

// Slow suites, which need workers, sockets, browsers or a Redis server; everything else is a unit test.
const SUITES = ['conformance', 'integration', 'faults', 'e2e']
const root = new URL('..', import.meta.url).pathname
// Every file is a process, and most start servers: the same code is stripped and compiled once.
process.env.NODE_COMPILE_CACHE ??= `${root}node_modules/.cache/compile`
// Files wait for servers most of the time. Nothing in them is timed but with a generous guard.
const CONCURRENCY = availableParallelism()
const chosen = process.argv[2] ?? 'all'

if (chosen === 'all') run('npm', ['run', '--silent', 'check'])
const suites = chosen === 'all' ? SUITES : [chosen]
for (const suite of suites) {
  const files =
    suite === 'unit'
      ? globSync('test/**/*.test.ts', { cwd: root, exclude: [...SUITES, 'soak'].map((name) => `test/${name}/**`) })
      : globSync(`test/${suite}/**/*.test.ts`, { cwd: root })
  if (files.length === 0) continue
  console.log(`\n== ${suite}: ${files.length} files`)
  run(process.execPath, ['--test', `--test-concurrency=${CONCURRENCY}`, '--test-timeout=300000', ...files.sort()])
}

function run(command: string, args: readonly string[]): void {
  const { status, signal } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) {
    console.error(`failed: ${command} ${args.slice(0, 3).join(' ')} … (${signal ?? status})`)
    process.exit(1)
  }
}
