import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { LAYERS } from './layers.ts'

const root = new URL('../..', import.meta.url).pathname
const IMPORT = /(?:from|import)\s*\(?\s*['"](\.[^'"]+)['"]/g

test('layers: every import of src/ points to a folder that the table allows', () => {
  const wrong: string[] = []
  const files = globSync('src/**/*.ts', { cwd: root })
  assert.ok(files.length > 5, 'the glob found the sources')
  for (const file of files) {
    const [, from = '', ...rest] = file.split('/')
    if (rest.length === 0) continue // src/index.ts is the public API and may name everything
    const allowed = LAYERS[from]
    if (allowed === undefined) {
      wrong.push(`${file}: folder src/${from} is not in the table`)
      continue
    }
    for (const [, path = ''] of readFileSync(join(root, file), 'utf8').matchAll(IMPORT)) {
      const target = normalize(join(dirname(file), path))
      const [top, to = ''] = target.split('/')
      if (top !== 'src' && from !== 'cli' && from !== 'runtime') wrong.push(`${file} imports ${target}`)
      else if (top === 'src' && to !== from && !allowed.includes(to)) wrong.push(`${file} imports ${target}`)
    }
  }
  assert.deepEqual(wrong, [])
})
