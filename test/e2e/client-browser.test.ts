// The hub's client in a real browser, as it is built: the same scenarios as elsewhere.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { launchBrowser } from '../harness/browser.ts'
import { ClientGround, SCENARIOS } from '../harness/client-ground.ts'

const ROOT = join(import.meta.dirname, '../..')
const BUILD_MS_MAX = 60_000
/** Runs in the page; answers what went wrong. */
const RUN = `async ([scenario, surroundings]) => {
  const { runScenario } = await import('/test/scenario.js')
  return runScenario(scenario, surroundings).then(() => undefined, String)
}`

test('client in a browser: the scenarios, but for the status that browsers hide', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'polyloop-client-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  build(folder)
  await using ground = await ClientGround.start(folder)
  await using browser = await launchBrowser()
  const page = await browser.newPage()
  await page.goto(ground.pageUrl)
  const hidden = SCENARIOS.filter(({ steps }) => JSON.stringify(steps).includes('"status":403'))
  assert.equal(hidden.length, 1)
  for (const scenario of SCENARIOS) {
    if (hidden.includes(scenario)) continue
    await context.test(scenario.name, async () => {
      const problem: string | undefined = await page.evaluate(
        `(${RUN})(${JSON.stringify([scenario, ground.surroundings])})`,
      )
      assert.equal(problem, undefined)
    })
  }
  const refused = [{ do: 'open', token: 'bad', fails: { kind: 'closed' } }]
  const given = JSON.stringify([{ name: 'refused', steps: refused }, ground.surroundings])
  assert.equal(await page.evaluate(`(${RUN})(${given})`), undefined)
})

function build(folder: string): void {
  const client = join(ROOT, 'clients/typescript')
  const config = {
    extends: join(client, 'tsconfig.json'),
    compilerOptions: { rootDir: client, outDir: folder, declaration: false },
    include: [join(client, 'src'), join(client, 'test/scenario.ts')],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  const line = [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', folder]
  const { status, stdout } = spawnSync(process.execPath, line, { encoding: 'utf8', timeout: BUILD_MS_MAX })
  assert.equal(status, 0, stdout)
}
