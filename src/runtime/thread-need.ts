// Which of the threads that do calls for others a process needs: none that nobody can call.
import type { ActorDefinition } from '../actor/definition.ts'
import type { ListenerSpec } from '../net/listener-spec.ts'
import type { ServiceDefinition } from '../services/service.ts'
import type { StoreUser, ThreadData } from './thread-data.ts'

export interface ThreadNeedFacts {
  /** All of them, by index. */
  readonly services: readonly ServiceDefinition[]
  /** Of the services that are enabled. */
  readonly listeners: readonly ListenerSpec[]
  /** The modules'. */
  readonly actors: readonly ActorDefinition[]
  readonly modules: readonly string[]
  /** The bridge connects hosts: topics may span them. */
  readonly hasHosts: boolean
  /** The store is on the server of the bridge: it needs that, and no thread of its own. */
  readonly sharesStore: boolean
}

export interface ThreadNeed extends Pick<ThreadData, 'storeUser' | 'usesBridge'> {
  readonly usesStoreThread: boolean
}

export function threadNeedOf(facts: ThreadNeedFacts): ThreadNeed {
  const enabled = facts.services.filter((_, index) =>
    facts.listeners.some((listener) => listener.serviceIndex === index),
  )
  const storeUser = storeUserOf(enabled, facts.actors)
  const isStoreUsed = storeUser !== 'nobody'
  return {
    storeUser,
    usesStoreThread: isStoreUsed && !facts.sharesStore,
    // What is in modules may call it without saying so.
    usesBridge:
      facts.modules.length > 0 ||
      (isStoreUsed && facts.sharesStore) ||
      enabled.some(({ usesBridge, topics }) => usesBridge === true || (facts.hasHosts && topics !== undefined)),
  }
}

/** Nobody: there is none; actors: it is opened when one calls it; services: it is opened first. */
function storeUserOf(enabled: readonly ServiceDefinition[], actors: readonly ActorDefinition[]): StoreUser {
  if (enabled.some(({ usesStore }) => usesStore === true)) return 'services'
  return actors.length > 0 || enabled.some((service) => service.actors !== undefined) ? 'actors' : 'nobody'
}
