// One scenario in a process of its own, so that its end, however it comes, ends its servers and clients too.
import type { SoakFigure } from './scenario.ts'
import { SCENARIOS } from './scenario-list.ts'

export type FromScenario =
  | { readonly kind: 'progress'; readonly line: string }
  | { readonly kind: 'passed'; readonly figures: readonly SoakFigure[] }
  | { readonly kind: 'failed'; readonly reason: string }

const [name = '', mode] = process.argv.slice(2)
const tell = (message: FromScenario): void => void process.send?.(message)
try {
  const scenario = SCENARIOS[name]
  if (scenario === undefined) throw new Error(`no scenario ${name}`)
  const log = (line: string): void => tell({ kind: 'progress', line })
  tell({ kind: 'passed', figures: await scenario.run({ quick: mode === 'quick', log }) })
} catch (error) {
  tell({ kind: 'failed', reason: error instanceof Error ? (error.stack ?? error.message) : String(error) })
}
process.disconnect?.()
