import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { PolyloopError } from '../../src/lib/errors.ts'
import { loadEffectiveConfig } from '../../src/runtime/effective-config.ts'
import { loadDefinitions, SERVICES } from '../../src/services/registry.ts'
import { defineService } from '../../src/services/service.ts'

const serviceModule = new URL('../../src/services/service.ts', import.meta.url).href

function moduleWith(text: string, run: (path: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'polyloop-'))
  const path = join(folder, 'module.ts')
  writeFileSync(path, text)
  return run(path).finally(() => rmSync(folder, { recursive: true }))
}

function problemIs(pattern: RegExp): (error: unknown) => boolean {
  return (error) =>
    error instanceof PolyloopError && error.code === 'MODULE_INVALID' && pattern.test(String(error.details.problem))
}

test('registry: the services of modules come behind the built-in ones', () =>
  moduleWith(
    `import { defineService } from '${serviceModule}'
     export const other = 1
     export const mine = defineService({ name: 'mine', listeners: { tcp: { port: 1 } }, start: () => ({}) })`,
    async (path) => {
      const { services } = await loadDefinitions([path])
      assert.deepEqual(
        services.map(({ name }) => name),
        [...SERVICES.map(({ name }) => name), 'mine'],
      )
    },
  ))

test('registry: a module that cannot be loaded, has no service, or takes a name is MODULE_INVALID', async () => {
  await assert.rejects(loadDefinitions(['/nowhere/module.ts']), problemIs(/Cannot find module/))
  await moduleWith('throw new Error("boom at load")', (path) =>
    assert.rejects(loadDefinitions([path]), problemIs(/boom at load/)),
  )
  await moduleWith('export const nothing = 1', (path) =>
    assert.rejects(loadDefinitions([path]), problemIs(/no service, actor or topic/)),
  )
  await moduleWith(
    `import { defineService } from '${serviceModule}'
     export const echo = defineService({ name: 'echo', listeners: {}, start: () => ({}) })`,
    (path) => assert.rejects(loadDefinitions([path]), problemIs(/echo is defined twice/)),
  )
})

test('service: a name that could not be a key of the configuration is refused', () => {
  for (const name of ['', 'Echo', 'a.b', 'a_b', '-a', 'a-']) {
    assert.throws(() => defineService({ name, listeners: {}, start: () => ({}) }), TypeError)
  }
})

test('service: a transport that does not exist is refused', () => {
  const listeners = { sctp: { port: 1 } } as object
  assert.throws(() => defineService({ name: 'web', listeners, start: () => ({}) }), /no transport sctp/)
})

test('services: rooms need messages of 512 KiB between threads, unless they are off', async () => {
  const small = ['services.session-proxy.maxMessageBytes=1KiB', 'ring.messageMax=511KiB']
  const problem = 'flag: ring.messageMax: 511KiB is below the 512KiB that rooms need'
  await assert.rejects(loadEffectiveConfig({ flags: small }), (error: PolyloopError) => {
    assert.deepEqual((error.details.problems as readonly unknown[]).map(String), [problem])
    return true
  })
  await loadEffectiveConfig({ flags: [...small, 'services.rooms.enabled=false'] })
  await loadEffectiveConfig({ flags: [...small, 'ring.messageMax=512KiB'] })
})
