// How results of benches look: lines for a terminal, and docs/BENCHMARKS.md.
import type { BenchResult, Figure, Ratio } from './harness.ts'

export interface NamedResult {
  readonly name: string
  readonly question: string
  readonly result: BenchResult
}

export function resultLines({ result }: NamedResult, smoke: boolean): string[] {
  return [
    ...result.ratios.map((ratio) => `  ${ratio.name} = ${round(ratio.value)}${verdictOf(ratio, smoke)}`),
    ...result.figures.map(({ name, value, unit }) => `    ${name}: ${round(value)} ${unit}`),
    `    (hash ${result.hash >>> 0})`,
  ]
}

export function isMissed({ value, atMost = Infinity, atLeast = -Infinity }: Ratio): boolean {
  return !(value <= atMost && value >= atLeast)
}

/** The page; `command` is what made it. */
export function reportPage(results: readonly NamedResult[], machine: string, command: string): string {
  const ratios = results.flatMap(({ name, result }) => result.ratios.map((ratio) => ({ name, ratio })))
  const missed = ratios.filter(({ ratio }) => isMissed(ratio)).length
  return [
    '# Benchmarks',
    '',
    'Ratios against peers in the same run; they hold on other machines, the figures behind them do not. Each bench is a file',
    '`bench/<name>.bench.ts`, which says what is measured and how. Generated: a change here is overwritten.',
    '',
    `Machine: ${machine}.`,
    '',
    `    ${command}`,
    '',
    missed === 0 ? 'Every budget was met.' : `Of the budgets below ${missed} ${missed === 1 ? 'was' : 'were'} missed.`,
    '',
    '| bench | ratio | value | budget | |',
    '|---|---|---:|---:|---|',
    ...ratios.map(({ name, ratio }) => ratioRow(name, ratio)),
    ...results.flatMap(section),
    '',
  ].join('\n')
}

function section({ name, question, result }: NamedResult): string[] {
  if (result.figures.length === 0) return []
  return [
    '',
    `## ${name}`,
    '',
    question,
    '',
    '| what | value | unit |',
    '|---|---:|---|',
    ...result.figures.map(figureRow),
  ]
}

function ratioRow(name: string, ratio: Ratio): string {
  const budget = budgetOf(ratio)
  const verdict = budget === '' ? '' : isMissed(ratio) ? '**missed**' : 'met'
  return `| ${name} | ${cell(ratio.name)} | ${round(ratio.value)} | ${budget} | ${verdict} |`
}

function figureRow({ name, value, unit }: Figure): string {
  return `| ${cell(name)} | ${round(value).toLocaleString('en-US', { maximumSignificantDigits: 4 })} | ${cell(unit)} |`
}

function verdictOf(ratio: Ratio, smoke: boolean): string {
  const budget = budgetOf(ratio)
  if (budget === '') return ''
  return smoke ? ` (budget ${budget})` : ` (budget ${budget}: ${isMissed(ratio) ? 'MISSED' : 'met'})`
}

function budgetOf({ atMost, atLeast }: Ratio): string {
  if (atMost !== undefined) return `≤ ${round(atMost)}`
  return atLeast === undefined ? '' : `≥ ${round(atLeast)}`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

function round(value: number): number {
  return Number(value.toPrecision(4))
}
