// Names of a session in Redis, as backends use them, and its place in a URL. [PROTOCOLS 5]
import { ID_BYTES_MAX, isSessionId } from '../services/session-proxy/target.ts'

/** Of the string that holds the session's token. */
export function authKeyOf(session: string): string {
  return `session:${session}:auth`
}

/** `down`: to the client; `up`: from it. */
export function channelOf(session: string, direction: 'down' | 'up'): string {
  return `session:${session}:${direction}`
}

/** Path of the session's WebSocket. */
export function sessionPathOf(agent: string, session: string): string {
  return `/${encodeURIComponent(agent)}/ws/${encodeURIComponent(session)}`
}

/** What is wrong with an id as typed; undefined: nothing. */
export function idProblem(name: string, id: string): string | undefined {
  return isSessionId(id) ? undefined : `<${name}> has 1 to ${ID_BYTES_MAX} bytes and no control characters`
}
