// Configuration and modules that are read for a reload in a thread of their own.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { PolyloopError } from '../../src/lib/errors.ts'
import { type FreshConfig, readFresh } from '../../src/runtime/fresh-config.ts'
import { within } from '../harness/wait.ts'

function read(module: string): Promise<FreshConfig> {
  const source = { path: undefined, environment: {}, flags: [], modules: [module], only: undefined }
  return within('an answer', readFresh(source, {} as FreshConfig))
}

test('fresh config: a module that ends its thread, or waits for nothing, refuses the reload', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'polyloop-fresh-'))
  context.after(() => rmSync(folder, { recursive: true }))
  for (const [index, code] of ['process.exit(0)', 'await new Promise(() => {})'].entries()) {
    const module = join(folder, `module-${index}.ts`)
    writeFileSync(module, `${code}\nexport {}\n`)
    await assert.rejects(
      read(module),
      (error) => error instanceof PolyloopError && error.code === 'RELOAD_REFUSED' && /ended/.test(error.message),
    )
  }
})
