// Runs benches and prints their ratios: `node bench/run.ts [NAME …] [--smoke] [--json] [--report FILE]`. NAME is a
// file's name without `.bench.ts`. `npm run bench -- --report docs/BENCHMARKS.md` writes the page.
import { globSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import type { Bench } from './harness.ts'
import { disturbanceNote, machineLine } from './machine.ts'
import { type NamedResult, reportPage, resultLines } from './report.ts'

const { values, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: {
    smoke: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    report: { type: 'string' },
  },
})
const { smoke, json, report } = values
const files = globSync('*.bench.ts', { cwd: import.meta.dirname }).sort()
const names = files.map((file) => basename(file, '.bench.ts'))
for (const name of wanted) {
  if (!names.includes(name)) fail(`no bench "${name}"; there are: ${names.join(', ')}`)
}
if (smoke && report !== undefined) fail('the figures of a smoke run mean nothing: there is no report of them')

const machine = machineLine()
const disturbance = smoke ? undefined : disturbanceNote()
if (disturbance !== undefined) console.error(disturbance)
const results: NamedResult[] = []
if (!json) console.log(`machine: ${machine}${smoke ? ' (smoke run: the figures mean nothing)' : ''}`)
for (const name of wanted.length === 0 ? names : names.filter((name) => wanted.includes(name))) {
  const { bench } = (await import(`./${name}.bench.ts`)) as { bench: Bench }
  const { question } = bench
  if (!json) console.log(`\n${name}: ${question}`)
  const startMs = performance.now()
  const result = await bench.run({ smoke, log: (line) => process.stderr.write(`  … ${line}\n`) })
  results.push({ name, question, result })
  if (json) continue
  for (const line of resultLines({ name, question, result }, smoke)) console.log(line)
  console.log(`    (${((performance.now() - startMs) / 1000).toFixed(1)} s)`)
}
if (json) {
  const byName = Object.fromEntries(results.map(({ name, result }) => [name, result]))
  console.log(JSON.stringify({ machine, smoke, results: byName }, null, 2))
}
if (report !== undefined) {
  const command = ['npm run bench --', ...wanted, `--report ${report}`].join(' ')
  writeFileSync(report, reportPage(results, machine, command))
}

function fail(reason: string): never {
  console.error(reason)
  process.exit(2)
}
