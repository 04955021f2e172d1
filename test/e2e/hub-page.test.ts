// The live page of the hub in a real browser: what it shows, as whom, and what it does when the connection is lost.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { loadHubPage, PAGE_PARTS } from '../../src/services/hub/http-document.ts'
import { launchBrowser } from '../harness/browser.ts'
import type { HubClient } from '../harness/hub-client.ts'
import { CHANNELS, HubServer, tokenOf } from '../harness/hub-server.ts'
import { Relay } from '../harness/relay.ts'
import { waitUntil } from '../harness/wait.ts'

const folder = join(import.meta.dirname, '../../src/services/hub/page')
const SHOWN_MS = 20_000
const METRICS_MS = 200

let browser: Browser
let hub: HubServer
let admin: HubClient

before(async () => {
  ;[browser, hub] = await Promise.all([launchBrowser(), startHub(0)])
  admin = await hub.admin()
})

after(async () => {
  admin[Symbol.dispose]()
  await Promise.all([browser.close(), hub[Symbol.asyncDispose]()])
})

function startHub(onPort: number): Promise<HubServer> {
  return HubServer.start({
    // Without pings in between: whoever broadcasts reads replies, and nothing else.
    hub: { metricsInterval: `${METRICS_MS}ms`, pingInterval: '1h', pingTimeout: '2h' },
    settings: { 'services.hub.ws.port': onPort },
  })
}

/** A page, what went wrong in it, and what it asked for. */
class Visit implements AsyncDisposable {
  readonly page: Page
  readonly errors: string[] = []
  readonly requests: string[] = []

  private constructor(page: Page) {
    this.page = page
    page.on('pageerror', (error) => this.errors.push(String(error)))
    page.on('console', (message) => {
      if (message.type() === 'error') this.errors.push(message.text())
    })
    page.on('request', (request) => this.requests.push(request.url()))
    page.on('websocket', (socket) => this.requests.push(socket.url()))
  }

  static async at(port: number): Promise<Visit> {
    const page = await (await browser.newContext()).newPage()
    const visit = new Visit(page)
    await page.goto(`http://127.0.0.1:${port}/`)
    return visit
  }

  async text(selector: string): Promise<string> {
    return ((await this.page.locator(selector).first().textContent()) ?? '').trim()
  }

  shows(selector: string, text: string | RegExp): Promise<unknown> {
    const isIt = (shown: string): boolean => (typeof text === 'string' ? shown === text : text.test(shown))
    return waitUntil(`${selector} shows ${text}`, async () => isIt(await this.text(selector)), SHOWN_MS).catch(
      async (error: unknown) => {
        throw new Error(`${error}; it shows: ${await this.text('body')}`)
      },
    )
  }

  /** A cell of a channel's row, by its title. */
  cell(channel: string, title: string): string {
    return `#channels tr[data-channel="${channel}"] td[data-title="${title}"]`
  }

  async use(token: string): Promise<void> {
    await this.page.fill('#token', token)
    await this.page.click('#use')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close()
  }
}

const port = (): number => hub.server.port('hub.ws')

test('hub page: metrics are drawn and channels told for whoever comes, with nothing from elsewhere', async () => {
  await using visit = await Visit.at(port())
  await visit.shows('#state', 'live')
  await visit.shows('#fact-user', 'nobody')
  for (const channel of CHANNELS) {
    await visit.shows(visit.cell(channel, 'State'), ['metrics', 'status'].includes(channel) ? 'subscribed' : 'denied')
  }
  await visit.shows(visit.cell('metrics', 'Events'), /^[1-9]/)
  await visit.shows('#totals .card:nth-child(2) b', /^\d+ MiB$/)
  await visit.shows('#events li[data-channel="metrics"] i', 'system_metrics')
  // Two points make a line, and a line is drawn in colours.
  await waitUntil(
    'every chart has a line',
    async () => {
      const colours = (await visit.page.evaluate(`[...document.querySelectorAll('#totals canvas')].map((canvas) =>
        new Set(new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size)`)) as number[]
      return colours.length === 6 && colours.every((count) => count > 2)
    },
    SHOWN_MS,
  )
  const origin = `127.0.0.1:${port()}`
  assert.ok(visit.requests.length > 10)
  assert.deepEqual(
    visit.requests.filter((url) => new URL(url).host !== origin),
    [],
  )
  assert.deepEqual(visit.errors, [])
})

test('hub page: with a JWT it is somebody, and gets what that one may have; a wrong one is told', async () => {
  await using visit = await Visit.at(port())
  await visit.shows('#state', 'live')
  await visit.use(tokenOf({ sub: 'admin' }))
  await visit.shows('#fact-user', 'admin')
  for (const channel of CHANNELS) await visit.shows(visit.cell(channel, 'State'), 'subscribed')
  assert.equal(await visit.page.inputValue('#token'), '', 'it does not stay on the page')
  await admin.broadcast('signals', { note: '<b>bold</b>' }, 'signal.marked')
  await visit.shows('#events li[data-channel="signals"] i', 'signal.marked')
  assert.equal(await visit.text('#events li[data-channel="signals"] code'), '{"note":"<b>bold</b>"}')
  await visit.page.selectOption('#shown', 'signals')
  await waitUntil(
    'only that channel shows',
    async () => (await visit.page.locator('#events li:not([data-channel="signals"])').count()) === 0,
    SHOWN_MS,
  )
  await visit.page.check('#hold')
  const before = await visit.page.locator('#events li').count()
  await admin.broadcast('signals', {}, 'signal.unseen')
  await visit.shows(visit.cell('signals', 'Events'), '2')
  assert.equal(await visit.page.locator('#events li').count(), before)
  await visit.page.uncheck('#hold')
  await visit.shows('#events li i', 'signal.unseen')
  assert.deepEqual(visit.errors, [])
  await visit.use('nonsense')
  await visit.shows('#state', 'refused')
  await visit.shows('#lost', 'The server refuses: the server does not accept this JWT.')
  await visit.use('')
  await visit.shows('#fact-user', 'nobody')
  await visit.shows('#state', 'live')
  assert.ok(await visit.page.locator('#lost').isHidden())
})

test('hub page: a connection that is cut is resumed, and what was missed comes, each event once', async () => {
  await using relay = await Relay.to(port())
  await using visit = await Visit.at(relay.port)
  await visit.use(tokenOf({ sub: 'admin' }))
  await visit.shows('#fact-user', 'admin')
  await visit.shows(visit.cell('signals', 'State'), 'subscribed')
  await admin.broadcast('signals', { number: 0 }, 'signal.seen')
  await visit.shows(visit.cell('signals', 'Events'), '1')
  // Nothing passes any more, and nobody is told: then the connection ends, and no other one comes up.
  relay.isStalled = true
  relay.cut()
  await visit.shows('#state', /^(lost|connecting)$/)
  for (const number of [1, 2, 3]) await admin.broadcast('signals', { number }, 'signal.unseen')
  await visit.shows('#lost', /^No connection since \d\d:\d\d:\d\d.*\. Trying again\.$/)
  assert.ok(await visit.page.locator('#lost').isVisible())
  relay.isStalled = false
  relay.cut()
  await visit.shows('#state', 'live')
  await visit.shows('#fact-session', 'resumed')
  await visit.shows(visit.cell('signals', 'Missed'), '3')
  await visit.shows(visit.cell('signals', 'Events'), '4')
  assert.equal(await visit.text(visit.cell('signals', 'Lost')), 'none')
  assert.ok(await visit.page.locator('#lost').isHidden())
  await visit.page.selectOption('#shown', 'signals')
  await waitUntil(
    'the list has all, the newest first, and says which were missed',
    async () => {
      const data = await visit.page.locator('#events li code').allTextContents()
      const missed = await visit.page.locator('#events li i.missed').count()
      return data.join() === '{"number":3},{"number":2},{"number":1},{"number":0}' && missed === 3
    },
    SHOWN_MS,
  )
  await admin.broadcast('signals', { number: 4 }, 'signal.live')
  await visit.shows('#events li i:not(.missed)', 'signal.live')
  await visit.shows(visit.cell('signals', 'Events'), '5')
})

test('hub page: fits 1280 and 400 pixels, in both lights', async () => {
  await using visit = await Visit.at(port())
  const { page } = visit
  await visit.shows('#events li[data-channel="metrics"] i', 'system_metrics')
  const backgrounds = new Set<unknown>()
  for (const width of [1280, 400]) {
    await page.setViewportSize({ width, height: 800 })
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      const wide = await page.evaluate(`[...document.querySelectorAll('html, section, table, .card, #events')]
        .filter((part) => part.scrollWidth > part.clientWidth + 1).map((part) => part.id || part.className)`)
      assert.deepEqual(wide, [], `${width} ${colorScheme}`)
      backgrounds.add(await page.evaluate('getComputedStyle(document.documentElement).backgroundColor'))
    }
  }
  assert.equal(backgrounds.size, 2)
})

test('hub page: every file of its folder is served, with a policy that forbids every other source', async () => {
  const own = globSync('*', { cwd: folder }).filter((name) => name !== 'index.html')
  assert.deepEqual(own.toSorted(), PAGE_PARTS.toSorted())
  const { page, parts } = loadHubPage()
  const scripts = [...parts].filter(([name]) => name.endsWith('.js') && name !== 'uplot.js')
  const named = [...page.bytes.toString().matchAll(/(?:href|src)="page\/([^"]+)"/g)]
  const imported = scripts.flatMap(([, { bytes }]) => [...bytes.toString().matchAll(/from '\.\/([^']+)'/g)])
  for (const [, name = ''] of [...named, ...imported]) assert.ok(parts.has(name), name)
  for (const name of own) {
    const text = readFileSync(join(folder, name), 'utf8')
    assert.doesNotMatch(text, /https?:\/\/|innerHTML|insertAdjacentHTML|\beval\(|style="/)
  }
  for (const path of ['/', '/page/link.js', '/page/uplot.css']) {
    const response = await hub.fetch(path)
    assert.equal(response.status, 200, path)
    const policy = response.headers.get('content-security-policy') ?? ''
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/)
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff')
  }
  for (const path of ['/page/none.js', '/page/..%2findex.html', '/page/index.html']) {
    assert.equal((await hub.fetch(path)).status, 404, path)
  }
})

test('hub page: a server that is gone is told, and its successor is found, with a gap where there is one', async () => {
  // The last test: the hub of all others ends here.
  const before = port()
  await using visit = await Visit.at(before)
  await visit.shows(visit.cell('metrics', 'Events'), /^[1-9]/)
  await hub[Symbol.asyncDispose]()
  await visit.shows('#lost', /^No connection since /)
  await visit.shows(visit.cell('metrics', 'State'), 'waiting')
  hub = await startHub(before)
  await visit.shows('#state', 'live')
  await visit.shows('#fact-session', 'new')
  await visit.shows(visit.cell('metrics', 'State'), 'subscribed')
  // Another process, another epoch: nobody knows what there was.
  await visit.shows(visit.cell('metrics', 'Lost'), '1 gap')
})
