// Makes docs/images/dashboard.png of a real server under load. Not a test: run it by hand, it takes two minutes and a half.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { launchBrowser } from '../harness/browser.ts'
import { startServer } from '../harness/server.ts'
import { pause } from '../harness/wait.ts'
import { startLoad } from './load-process.ts'

const PICTURE = join(import.meta.dirname, '../../docs/images/dashboard.png')
const VIEW = { width: 1280, height: 696 }
/** The charts show two minutes. */
const STEP_MS = 30_000

await using server = await startServer({
  shards: 4,
  modules: ['test/e2e/tally-service.ts'],
  settings: { 'shard.heapLimit': '192MiB' },
})
await using browser = await launchBrowser()
const page = await browser.newPage({ viewport: VIEW, deviceScaleFactor: 2, colorScheme: 'light' })
await page.goto(`http://127.0.0.1:${server.port('admin')}/`)
await using _echo = startLoad(server.url('echo.ws'), { connections: 300, rate: 1_500 })
await pause(STEP_MS)
{
  await using _tally = startLoad(server.url('tallying.ws'), { connections: 500, rate: 2_500 })
  await pause(STEP_MS)
  // The charts go on through it, and so do the connections.
  assert.equal((await server.post('/api/v1/reload')).status, 202)
  await pause(STEP_MS)
}
await using _tally = startLoad(server.url('tallying.ws'), { connections: 250, rate: 1_500 })
await pause(STEP_MS)
mkdirSync(dirname(PICTURE), { recursive: true })
await page.screenshot({ path: PICTURE })
console.log(PICTURE)
