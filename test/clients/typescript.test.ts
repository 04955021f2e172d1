// The tests of the TypeScript client are its own, beside it; here they run with ours.
import { globSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, '../../clients/typescript/test')
for (const name of globSync('*.test.ts', { cwd: folder }).sort()) await import(join(folder, name))
