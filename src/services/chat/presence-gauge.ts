// How many users' status is known, for the metric. Actors know no metrics, and are defined before a service has its own:
// what this thread's presence actor holds is noted here when it begins, or arrives.
import type { ActorDefinition } from '../../actor/definition.ts'
import type { ChatConfig } from './config.ts'
import { type PresenceHandlers, presenceActor } from './presence-actor.ts'
import { PresenceState } from './presence-state.ts'

/** Of this thread; one that has moved away is empty. */
let latest: PresenceState | undefined

export function presenceEntries(): number {
  return latest?.size ?? 0
}

export function gaugedPresence(config: ChatConfig): ActorDefinition<PresenceState, PresenceHandlers> {
  const definition = presenceActor(config)
  return {
    ...definition,
    create: (id, context) => noted(definition.create(id, context)),
    thaw: (frozen, id) => noted(definition.thaw?.(frozen, id) as PresenceState),
  }
}

function noted<State>(state: State): State {
  if (state instanceof PresenceState) latest = state
  return state
}
