// Entry point of the thread that reads the configuration and the modules again for a reload, and ends.
import { readFileSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { PolyloopError } from '../src/lib/errors.ts'
import { type ConfigSource, type FreshAnswer, loadFresh } from '../src/runtime/fresh-config.ts'

const answer = (value: FreshAnswer): void => parentPort?.postMessage(value)
try {
  answer({ fresh: await loadFresh(workerData as ConfigSource, (path) => readFileSync(path, 'utf8')) })
} catch (error) {
  const { code, details: facts } = error instanceof PolyloopError ? error : { code: undefined, details: {} }
  // As text: a problem is an object with a method.
  const details =
    'problems' in facts && Array.isArray(facts.problems) ? { problems: facts.problems.map(String) } : facts
  answer({ code, details, message: error instanceof Error ? error.message : String(error) })
}
