// The dashboard in a real browser, on a real server: what it shows, what it asks for, and what it survives. [A7]
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { threadOfSeat } from '../../src/lib/thread.ts'
import { NO_MIGRATION } from '../../src/observe/report.ts'
import { openAdmin } from '../cli/admin-fixture.ts'
import { launchBrowser } from '../harness/browser.ts'
import { type Server, startServer } from '../harness/server.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { startLoad } from './load-process.ts'

const SHARDS = 3
const CONNECTIONS = 30
const RATE = 300
/** An answer a second, and a busy machine. */
const SHOWN_MS = 20_000

let browser: Browser
let server: Server

before(async () => {
  ;[browser, server] = await Promise.all([launchBrowser(), startServer({ shards: SHARDS })])
})

after(() => Promise.all([browser.close(), server[Symbol.asyncDispose]()]))

interface Visit {
  readonly page: Page
  readonly requests: string[]
  /** Errors of scripts, and what the policy of the page refused. */
  readonly errors: string[]
}

/** `to`: a server, or the URL of an admin endpoint. */
async function visit(
  to: Server | string,
  path = '/',
  options: Parameters<Browser['newContext']>[0] = {},
): Promise<Visit> {
  const page = await (await browser.newContext(options)).newPage()
  const requests: string[] = []
  const errors: string[] = []
  page.on('request', (request) => requests.push(request.url()))
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text())
  })
  await page.goto(`${typeof to === 'string' ? to : `http://127.0.0.1:${to.port('admin')}`}${path}`)
  return { page, requests, errors }
}

function numbersOf(page: Page, selector: string): Promise<number[]> {
  return page
    .locator(selector)
    .allTextContents()
    .then((texts) => texts.map((text) => Number(text.replaceAll(',', ''))))
}

async function sumOf(page: Page, selector: string): Promise<number> {
  return (await numbersOf(page, selector)).reduce((sum, value) => sum + value, 0)
}

test('dashboard: a lane for each shard, and figures that move under load, all from the server itself', async () => {
  const { page, requests, errors } = await visit(server)
  const lanes = page.locator('#lanes .lane[data-shard]')
  await waitUntil('a lane for each shard', async () => (await lanes.count()) === SHARDS, SHOWN_MS)
  assert.deepEqual(await page.locator('.lane .shard b').allTextContents(), ['0', '1', '2'])
  assert.deepEqual(await page.locator('.lane .shard .pill').allTextContents(), ['ready', 'ready', 'ready'])
  assert.equal(await sumOf(page, '.lane .connections .number'), 0)
  {
    await using _load = startLoad(server.url('echo.ws'), { connections: CONNECTIONS, rate: RATE })
    const isShown = async (): Promise<boolean> =>
      (await sumOf(page, '.lane .connections .number')) === CONNECTIONS &&
      (await sumOf(page, '.lane .pair .in')) > RATE / 2
    await waitUntil('the lanes show connections and rates', isShown, SHOWN_MS)
    assert.ok((await numbersOf(page, '.lane .connections .number')).every((count) => count > 0))
    const [connections = ''] = await page.locator('#totals .card b').allTextContents()
    assert.equal(connections, String(CONNECTIONS))
    const service = await page.locator('#services tbody tr').first().textContent()
    assert.match(service ?? '', /^echotcp \d+ · udp \d+ · ws \d+30/)
    const drawn = await page.evaluate(`[...document.querySelectorAll('.lane .rate canvas')].map((canvas) =>
      new Set(new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size)`)
    assert.ok((drawn as number[]).length === SHARDS && (drawn as number[]).every((colours) => colours > 2), `${drawn}`)
  }
  await waitUntil(
    'the lanes are empty again',
    async () => (await sumOf(page, '.lane .connections .number')) === 0,
    SHOWN_MS,
  )
  const origin = `http://127.0.0.1:${server.port('admin')}/`
  assert.ok(requests.length > 10)
  assert.deepEqual(
    requests.filter((url) => !url.startsWith(origin)),
    [],
  )
  assert.deepEqual(errors, [])
})

test('dashboard: fits 1280 and 400 pixels, in both lights, and tells of a shard that was replaced', async () => {
  await server.kill(1)
  await server.recovered(1, 1)
  for (const width of [1280, 400]) {
    const backgrounds = new Set<unknown>()
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page, errors } = await visit(server, '/dashboard', { viewport: { width, height: 800 }, colorScheme })
      const restarts = page.locator('.lane[data-shard="1"] small')
      await waitUntil('the restart shows', async () => (await restarts.textContent()) === '1 restart', SHOWN_MS)
      const wide = await page.evaluate(`[...document.querySelectorAll('html, section, table, .lane, .card')]
        .filter((part) => part.scrollWidth > part.clientWidth + 1).map((part) => part.id || part.className)`)
      assert.deepEqual(wide, [], `${width} ${colorScheme}`)
      backgrounds.add(await page.evaluate('getComputedStyle(document.documentElement).backgroundColor'))
      assert.deepEqual(errors, [])
      await page.context().close()
    }
    assert.equal(backgrounds.size, 2)
  }
})

test('dashboard: with a token the browser asks for it, and then all figures come', async () => {
  const token = 'a-token-of-operators'
  await using guarded = await startServer({ shards: 1, settings: { 'admin.token': token } })
  const origin = `http://127.0.0.1:${guarded.port('admin')}`
  for (const path of ['/', '/dashboard', '/dashboard/dashboard.js', '/dashboard/uplot.js']) {
    assert.equal((await fetch(origin + path)).status, 401, path)
  }
  const { page } = await visit(guarded, '/', { httpCredentials: { username: 'anyone', password: token } })
  await waitUntil('the lane shows', async () => (await page.locator('.lane[data-shard]').count()) === 1, SHOWN_MS)
  assert.equal(await page.locator('#readiness').textContent(), 'ready')
})

test('dashboard: a lost server is told, and its successor is found', async () => {
  await using first = await startServer({ shards: 2 })
  const { page } = await visit(first)
  const lost = page.locator('#lost')
  const lanes = page.locator('.lane[data-shard]')
  await waitUntil('the lanes show', async () => (await lanes.count()) === 2, SHOWN_MS)
  assert.ok(await lost.isHidden())
  const port = first.port('admin')
  await first.stop()
  await waitUntil('the loss shows', () => lost.isVisible(), SHOWN_MS)
  assert.match(
    (await lost.textContent()) ?? '',
    /^No figures from the server since .+: it cannot be reached\. Trying again\.$/,
  )
  assert.equal(await lanes.count(), 2, 'the last figures stay')
  await using _second = await startServer({ shards: 3, settings: { 'admin.port': port } })
  await waitUntil('the loss is over', () => lost.isHidden(), SHOWN_MS)
  await waitUntil('the lanes of the successor show', async () => (await lanes.count()) === 3, SHOWN_MS)
})

test('dashboard: a reload in progress shows, with both seats of a shard, and its end', async (context) => {
  const fixture = await openAdmin(context, { seats: [0, 1, 64] })
  const { table, clock } = fixture
  fixture.onAsked = () => clock.advance(1_000)
  table.setState(threadOfSeat(0), 'draining')
  fixture.migration = { ...NO_MIGRATION, state: 'moving', kind: 'reload', moved: 300, remaining: 900, started_ms: 1 }
  const { page, errors } = await visit(fixture.url)
  const move = page.locator('#move')
  await waitUntil('the reload shows', () => move.isVisible(), SHOWN_MS)
  assert.equal((await move.textContent())?.trim().replaceAll(/\s+/g, ' '), 'Reload 300 of 1,200 connections moved')
  assert.equal(await page.locator('#move-bar').getAttribute('value'), '0.25')
  assert.deepEqual(await page.locator('.lane[data-shard] .shard').allTextContents(), [
    '0drainingseat 0',
    '0readyseat 64',
    '1ready',
  ])
  assert.match((await page.locator('#facts').textContent()) ?? '', /^Shards2/)
  table.settle(threadOfSeat(0))
  table.setState(threadOfSeat(0), 'absent')
  const finished = { moved: 1_190, failed: 2, lingering: 8, finished_ms: clock.wallMs() }
  fixture.migration = { ...NO_MIGRATION, kind: 'reload', started_ms: 1, ...finished }
  const end = 'Reload finished 1,190 of 1,192 connections moved, 2 failed, 8 lingering on the old shard'
  const isOver = async (): Promise<boolean> => (await move.textContent())?.trim().replaceAll(/\s+/g, ' ') === end
  await waitUntil('the end of the reload shows', isOver, SHOWN_MS)
  assert.deepEqual(await page.locator('.lane[data-shard] .shard').allTextContents(), ['0ready', '1ready'])
  clock.advance(10_000)
  await waitUntil('the end is no longer news', () => move.isHidden(), SHOWN_MS)
  assert.deepEqual(errors, [])
})

test('dashboard: its policy forbids every other source, and unknown parts are 404', async () => {
  const response = await server.fetch('/dashboard')
  const policy = response.headers.get('content-security-policy') ?? ''
  assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/)
  assert.ok(!/unsafe|https?:|\*/.test(policy))
  assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8')
  assert.equal((await server.fetch('/dashboard/none.js')).status, 404)
  assert.equal((await server.fetch('/dashboard/..%2freport.ts')).status, 404)
  const { page } = await visit(server)
  const report = within(
    'the refusal',
    page.evaluate(`new Promise((resolve) => {
    addEventListener('securitypolicyviolation', (event) => resolve(event.violatedDirective))
    document.body.append(Object.assign(new Image(), { src: 'http://127.0.0.2:1/x.png' }))
  })`),
  )
  assert.equal(await report, 'img-src')
})
