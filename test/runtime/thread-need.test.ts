import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ActorDefinition, defineActor } from '../../src/actor/definition.ts'
import type { ListenerSpec } from '../../src/net/listener-spec.ts'
import { type ThreadNeedFacts, threadNeedOf } from '../../src/runtime/thread-need.ts'
import { defineService, type ServiceDefinition } from '../../src/services/service.ts'

const actor = defineActor({ kind: 'some', create: () => ({}), on: {} }) as unknown as ActorDefinition
const listeners = { tcp: { port: 0 } }
const start = (): Record<never, never> => ({})
const plain = defineService({ name: 'plain', listeners, start })
const acting = defineService({ name: 'acting', listeners, start, actors: () => [actor] })
const storing = defineService({ name: 'storing', listeners, start, usesStore: true })
const bridging = defineService({ name: 'bridging', listeners, start, usesBridge: true })
const SERVICES = [plain, acting, storing, bridging] as unknown as ServiceDefinition[]

/** Who needs what when the services of these indexes are enabled. */
function needOf(enabled: readonly number[], facts: Partial<ThreadNeedFacts> = {}): ReturnType<typeof threadNeedOf> {
  const open = enabled.map((serviceIndex) => ({ serviceIndex }) as ListenerSpec)
  const alone = { hasHosts: false, sharesStore: false }
  return threadNeedOf({ services: SERVICES, listeners: open, actors: [], modules: [], ...alone, ...facts })
}

test('store: only who is enabled needs one, and services before actors', () => {
  assert.equal(needOf([]).storeUser, 'nobody')
  assert.equal(needOf([0, 3]).storeUser, 'nobody')
  assert.equal(needOf([0], { actors: [actor] }).storeUser, 'actors')
  assert.equal(needOf([0, 1]).storeUser, 'actors')
  assert.equal(needOf([2]).storeUser, 'services')
  assert.equal(needOf([0, 1, 2], { actors: [actor] }).storeUser, 'services')
})

test('store: one that hosts share needs the bridge, and no thread', () => {
  const shared = { sharesStore: true, hasHosts: true }
  assert.deepEqual(needOf([2]), { storeUser: 'services', usesStoreThread: true, usesBridge: false })
  assert.deepEqual(needOf([2], shared), { storeUser: 'services', usesStoreThread: false, usesBridge: true })
  assert.deepEqual(needOf([1], shared), { storeUser: 'actors', usesStoreThread: false, usesBridge: true })
  assert.deepEqual(needOf([0], shared), { storeUser: 'nobody', usesStoreThread: false, usesBridge: false })
})

test('bridge: a service that is enabled and says so needs one, and whatever is in modules', () => {
  assert.equal(needOf([]).usesBridge, false)
  assert.equal(needOf([0, 1, 2], { actors: [actor] }).usesBridge, false)
  assert.equal(needOf([0, 3]).usesBridge, true)
  assert.equal(needOf([0], { modules: ['file:///mine.ts'] }).usesBridge, true)
})
