// The tests of the TypeScript client are its own, beside it; here they run with ours.
import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, '../../clients/typescript/test')
const names = globSync('*.test.ts', { cwd: folder }).sort()
assert.ok(names.length > 3, 'they were found')
for (const name of names) await import(join(folder, name))
