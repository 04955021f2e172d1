import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ActorDefinition, defineActor } from '../../src/actor/definition.ts'
import type { ListenerSpec } from '../../src/net/listener-spec.ts'
import { storeUserOf } from '../../src/runtime/store-line.ts'
import { defineService, type ServiceDefinition } from '../../src/services/service.ts'

const actor = defineActor({ kind: 'some', create: () => ({}), on: {} }) as unknown as ActorDefinition
const listeners = { tcp: { port: 0 } }
const start = (): Record<never, never> => ({})
const plain = defineService({ name: 'plain', listeners, start })
const acting = defineService({ name: 'acting', listeners, start, actors: () => [actor] })
const storing = defineService({ name: 'storing', listeners, start, usesStore: true })
const SERVICES = [plain, acting, storing] as unknown as ServiceDefinition[]

/** Who uses the store when these services are enabled. */
function userOf(enabled: readonly number[], actors: readonly ActorDefinition[] = []): string {
  const open = enabled.map((serviceIndex) => ({ serviceIndex }) as ListenerSpec)
  return storeUserOf(SERVICES, open, actors)
}

test('store line: only who is enabled needs a store, and services before actors', () => {
  assert.equal(userOf([]), 'nobody')
  assert.equal(userOf([0]), 'nobody')
  assert.equal(userOf([0], [actor]), 'actors')
  assert.equal(userOf([0, 1]), 'actors')
  assert.equal(userOf([2]), 'services')
  assert.equal(userOf([0, 1, 2], [actor]), 'services')
})
