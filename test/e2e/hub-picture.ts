// Makes docs/images/hub.png of a real hub with clients that come and go and publish. Not a test: run it by hand, it takes a
// minute and a half.
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { launchBrowser } from '../harness/browser.ts'
import type { HubClient } from '../harness/hub-client.ts'
import { HubServer, tokenOf } from '../harness/hub-server.ts'
import { Relay } from '../harness/relay.ts'
import { pause } from '../harness/wait.ts'

const PICTURE = join(import.meta.dirname, '../../docs/images/hub.png')
const VIEW = { width: 1280, height: 900 }
const STEPS = 90
const STEP_MS = 1_000
const CROWD_MAX = 60

await using hub = await HubServer.start({ hub: { metricsInterval: '1s', pingInterval: '1h', pingTimeout: '2h' } })
await using relay = await Relay.to(hub.server.port('hub.ws'))
await using browser = await launchBrowser()
const page = await browser.newPage({ viewport: VIEW, deviceScaleFactor: 2, colorScheme: 'light' })
await page.goto(`http://127.0.0.1:${relay.port}/`)
await page.fill('#token', tokenOf({ sub: 'admin' }))
await page.click('#use')
using admin = await hub.admin()
const crowd: HubClient[] = []
for (let step = 0; step < STEPS; step++) {
  const wanted = Math.round((CROWD_MAX / 2) * (1 - Math.cos((step / STEPS) * 4 * Math.PI)))
  while (crowd.length > wanted) await crowd.pop()?.leave()
  while (crowd.length < wanted) {
    const client = await hub.enter()
    await client.subscribe('status')
    crowd.push(client)
  }
  for (let count = 0; count < 3 + (step % 5); count++) {
    const data = { event_id: `${step}-${count}`, event_type: 'spike', is_novel: count === 0, priority: 40 * count }
    await admin.broadcast('signals', { ...data, resonance_score: 0.8, neighbors_count: count }, 'signal.detected')
  }
  // Once, so that something is missed.
  if (step === STEPS - 12) relay.cut()
  await pause(STEP_MS)
}
mkdirSync(dirname(PICTURE), { recursive: true })
await page.screenshot({ path: PICTURE })
console.log(PICTURE)
for (const client of crowd) client[Symbol.dispose]()
