// A program that uses the library, for tests: does what its first argument says, prints one JSON line, and must then end
// by itself.
import { Writable } from 'node:stream'
import { createRuntime } from '../../src/index.ts'

const [settings = '{}', module] = process.argv.slice(2)
const quiet = new Writable({ write: (_chunk, _encoding, done) => done() })

try {
  const runtime = await createRuntime({
    shards: 2,
    settings: JSON.parse(settings) as Record<string, string>,
    logStream: quiet,
    ...(module === undefined ? {} : { modules: [module] }),
  })
  const clean = await runtime.drain()
  console.log(JSON.stringify({ clean, listeners: runtime.listeners.length }))
} catch (error) {
  const { code, details } = error as { code?: string; details?: Record<string, unknown> }
  console.log(JSON.stringify({ code, details: Object.keys(details ?? {}) }))
}
