// Makes docs/images/dashboard.png of a real server under load. Not a test: run it by hand, it takes two minutes and a half.
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { launchBrowser } from '../harness/browser.ts'
import { startServer } from '../harness/server.ts'
import { pause } from '../harness/wait.ts'
import { startLoad } from './load-process.ts'

const PICTURE = join(import.meta.dirname, '../../docs/images/dashboard.png')
const VIEW = { width: 1280, height: 740 }
/** The charts show two minutes. */
const STEP_MS = 30_000

await using server = await startServer({ shards: 4 })
await using browser = await launchBrowser()
const page = await browser.newPage({ viewport: VIEW, deviceScaleFactor: 2, colorScheme: 'light' })
await page.goto(`http://127.0.0.1:${server.port('admin')}/`)
await using _base = startLoad(server.url('echo.ws'), { connections: 300, rate: 2_000 })
await pause(STEP_MS)
{
  await using _more = startLoad(server.url('echo.ws'), { connections: 400, rate: 3_000 })
  await pause(STEP_MS)
  await using _most = startLoad(`tcp://127.0.0.1:${server.port('echo.tcp')}`, { connections: 100, rate: 1_500 })
  await pause(STEP_MS)
}
await using _last = startLoad(server.url('echo.ws'), { connections: 200, rate: 2_500 })
await pause(STEP_MS)
mkdirSync(dirname(PICTURE), { recursive: true })
await page.screenshot({ path: PICTURE })
console.log(PICTURE)
