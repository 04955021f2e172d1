import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ERRORS } from '../../src/lib/errors.ts'
import { FAMILIES } from '../../src/observe/family.ts'

const root = join(import.meta.dirname, '../..')
const TABLES = ['src/observe/family.ts', 'src/lib/errors.ts']
const code = globSync(['src/**/*.ts', 'workers/*.ts'], { cwd: root })
  .filter((file) => !TABLES.includes(file))
  .map((file) => readFileSync(join(root, file), 'utf8'))
  .join('\n')

/** As text, as a key, or behind a point. */
function isUsed(word: string): boolean {
  return new RegExp(`'${word}'|\\b${word}:|\\.${word}\\b`).test(code)
}

test('families: every value of a label is one that something counts under', () => {
  const idle = Object.values(FAMILIES).flatMap(({ name, labels }) =>
    Object.entries(labels).flatMap(([label, values]) =>
      values.filter((value: string) => !isUsed(value)).map((value: string) => `${name} ${label}=${value}`),
    ),
  )
  assert.deepEqual(idle, [])
})

test('errors: every code is one that something raises', () => {
  assert.deepEqual(
    Object.keys(ERRORS).filter((name) => !isUsed(name)),
    [],
  )
})
