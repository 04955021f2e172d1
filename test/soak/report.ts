// The page of a day's soak: one section a scenario. A later run of the same day replaces the sections of what it ran.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { SoakFigure } from './scenario.ts'

export interface Outcome {
  readonly name: string
  readonly claim: string
  readonly startedAt: string
  readonly seconds: number
  /** Undefined when it passed. */
  readonly failure?: string | undefined
  readonly figures: readonly SoakFigure[]
}

/** `title` stands above all sections: the day, the machine and how to repeat it. */
export function writeReport(file: string, title: string, order: readonly string[], outcomes: readonly Outcome[]): void {
  const sections = existsSync(file) ? sectionsOf(readFileSync(file, 'utf8')) : new Map<string, string>()
  for (const outcome of outcomes) sections.set(outcome.name, sectionOf(outcome))
  const known = order.flatMap((name) => sections.get(name) ?? [])
  writeFileSync(file, `${[title, ...known].join('\n\n')}\n`)
}

/** Name → section, from its `## name` line on. */
function sectionsOf(page: string): Map<string, string> {
  const [, ...sections] = page.split(/^## /m)
  return new Map(sections.map((text) => [/^[^:\s]+/.exec(text)?.[0] ?? '', `## ${text.trimEnd()}`]))
}

function sectionOf({ name, claim, startedAt, seconds, failure, figures }: Outcome): string {
  const verdict = failure === undefined ? 'passed' : 'FAILED'
  const head = `## ${name}: ${verdict}\n\n${claim}\n\nStarted ${startedAt}, ${seconds.toFixed(0)} s.`
  if (failure !== undefined) return `${head}\n\n${failure.replace(/^/gm, '    ')}`
  const rows = figures.map((figure) => `| ${cell(figure.name)} | ${cell(figure.value)} |`)
  return `${head}\n\n${['| what | figure |', '|---|---|', ...rows].join('\n')}`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}
