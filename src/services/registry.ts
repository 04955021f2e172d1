// The services that come with Polyloop, one line each, and those of a user's modules. The order is part of the layout
// of shared memory: a service's index is its place in the list.
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type ActorDefinition, isActor } from '../actor/definition.ts'
import { isTopic, type TopicDefinition } from '../actor/topic-definition.ts'
import { PolyloopError } from '../lib/errors.ts'
import { chat } from './chat/chat.ts'
import { echo } from './echo/echo.ts'
import { hub } from './hub/hub.ts'
import { rooms } from './rooms/rooms.ts'
import { isService, type ServiceDefinition } from './service.ts'
import { sessionProxy } from './session-proxy/session-proxy.ts'

export const SERVICES: readonly ServiceDefinition[] = [
  echo as ServiceDefinition,
  chat as ServiceDefinition,
  sessionProxy as ServiceDefinition,
  rooms as ServiceDefinition,
  hub as ServiceDefinition,
]

/** What modules define. */
export interface Definitions {
  /** The built-in services, then the modules', in order. */
  readonly services: readonly ServiceDefinition[]
  readonly actors: readonly ActorDefinition[]
  readonly topics: readonly TopicDefinition[]
}

/** Imports `modules` (paths or file URLs). Throws MODULE_INVALID. */
export async function loadDefinitions(modules: readonly string[]): Promise<Definitions> {
  const services = [...SERVICES]
  const actors: ActorDefinition[] = []
  const topics: TopicDefinition[] = SERVICES.flatMap(fixedTopicsOf)
  for (const module of modules) {
    const url = module.startsWith('file:') ? module : pathToFileURL(resolve(module)).href
    let exported: Record<string, unknown>
    try {
      exported = (await import(url)) as Record<string, unknown>
    } catch (error) {
      throw new PolyloopError('MODULE_INVALID', { module, problem: String(error) }, { cause: error })
    }
    let found = 0
    for (const value of new Set(Object.values(exported))) {
      found++
      // A module may export again what another one defines: the same object is one definition.
      if (isService(value)) {
        add(services, value, ({ name }) => name, module)
        for (const topic of fixedTopicsOf(value)) add(topics, topic, ({ kind }) => kind, module)
      } else if (isActor(value)) add(actors, value, ({ kind }) => kind, module)
      else if (isTopic(value)) add(topics, value, ({ kind }) => kind, module)
      else found--
    }
    if (found === 0) {
      throw new PolyloopError('MODULE_INVALID', { module, problem: 'it exports no service, actor or topic' })
    }
  }
  return { services, actors, topics }
}

/** With what services make of their configuration. */
export function withOwn(all: Definitions, configs: Readonly<Record<string, unknown>>): Definitions {
  const actors = all.services.flatMap((service) => service.actors?.(configs[service.name]) ?? [])
  const topics = all.services.flatMap(({ name, topics = [] }) =>
    typeof topics === 'function' ? topics(configs[name]) : [],
  )
  return { services: all.services, actors: [...all.actors, ...actors], topics: [...all.topics, ...topics] }
}

/** Those that need no configuration. */
function fixedTopicsOf({ topics = [] }: ServiceDefinition): readonly TopicDefinition[] {
  return typeof topics === 'function' ? [] : topics
}

function add<T>(all: T[], one: T, nameOf: (one: T) => string, module: string): void {
  if (all.includes(one)) return
  const name = nameOf(one)
  if (all.some((other) => nameOf(other) === name)) {
    throw new PolyloopError('MODULE_INVALID', { module, problem: `${name} is defined twice` })
  }
  all.push(one)
}
