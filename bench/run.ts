// Runs benches and prints their ratios: `node bench/run.ts [NAME …] [--smoke] [--json]`. NAME is a file's name
// without `.bench.ts`.
import { globSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { basename } from 'node:path'
import type { Bench, BenchResult } from './harness.ts'

const smoke = process.argv.includes('--smoke')
const json = process.argv.includes('--json')
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'))
const files = globSync('*.bench.ts', { cwd: import.meta.dirname }).sort()
const names = files.map((file) => basename(file, '.bench.ts'))
for (const name of wanted) {
  if (!names.includes(name)) {
    console.error(`no bench "${name}"; there are: ${names.join(', ')}`)
    process.exit(2)
  }
}

const machine = `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}`
const results: Record<string, BenchResult> = {}
if (!json) console.log(`machine: ${machine}${smoke ? ' (smoke run: the figures mean nothing)' : ''}`)
for (const name of names) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  const { bench } = (await import(`./${name}.bench.ts`)) as { bench: Bench }
  if (!json) console.log(`\n${name}: ${bench.question}`)
  const result = await bench.run({ smoke, log: (line) => process.stderr.write(`  … ${line}\n`) })
  results[name] = result
  if (json) continue
  for (const ratio of result.ratios) console.log(`  ${ratioLine(ratio)}`)
  for (const figure of result.figures) console.log(`    ${figure.name}: ${round(figure.value)} ${figure.unit}`)
  console.log(`    (hash ${result.hash >>> 0})`)
}
if (json) console.log(JSON.stringify({ machine, smoke, results }, null, 2))

function ratioLine(ratio: BenchResult['ratios'][number]): string {
  const line = `${ratio.name} = ${round(ratio.value)}`
  if (ratio.atMost === undefined && ratio.atLeast === undefined) return line
  const met = ratio.value <= (ratio.atMost ?? Infinity) && ratio.value >= (ratio.atLeast ?? -Infinity)
  const budget = ratio.atMost === undefined ? `>= ${ratio.atLeast}` : `<= ${ratio.atMost}`
  return smoke ? `${line} (budget ${budget})` : `${line} (budget ${budget}: ${met ? 'met' : 'MISSED'})`
}

function round(value: number): number {
  return Number(value.toPrecision(4))
}
