// The committed texts equal what the rows say; `UPDATE=1 node --test test/config/generated.test.ts` writes them anew.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { configPage, defaultYaml } from '../../src/config/description.ts'
import { loadConfig } from '../../src/config/loader.ts'
import { optionTable } from '../../src/config/service-options.ts'
import { SERVICES } from '../../src/services/registry.ts'

const root = join(import.meta.dirname, '../..')
const options = optionTable(SERVICES)

for (const [path, text] of [
  ['config/default.yaml', defaultYaml(options)],
  ['docs/CONFIG.md', configPage(options)],
] as const) {
  test(`${path}: is what the option rows say`, () => {
    if (process.env.UPDATE === '1') writeFileSync(join(root, path), text)
    assert.equal(readFileSync(join(root, path), 'utf8'), text)
  })
}

test('config/default.yaml: loads, and changes nothing', () => {
  const path = 'config/default.yaml'
  const loaded = loadConfig({ options, file: { path, text: readFileSync(join(root, path), 'utf8') } })
  assert.deepEqual(loaded.config, loadConfig({ options }).config)
  const line =
    1 +
    readFileSync(join(root, path), 'utf8')
      .split('\n')
      .findIndex((text) => text.startsWith('shards:'))
  assert.equal(loaded.origins.get('shards'), `${path}:${line}`)
})
