// How a subscriber's server is spoken to: the bytes of a fan-out over bare WebSockets, and in Socket.IO's words.
import { clientFrame, serverFrame, upgradeRequest } from './raw-websocket.ts'

export type DialectName = 'websocket' | 'socket-io'

export interface Dialect {
  /** What a client says first; `session` tells the publisher from the others. */
  upgrade(session: string): Buffer
  /** What it says when it got its 101, if that is anything. */
  readonly hello: Buffer | undefined
  /** The last a subscriber hears before messages come. */
  readonly ready: Buffer
  /** What the publisher says to have it published. */
  publish(payload: string): Buffer
  /** What each subscriber hears then. */
  message(payload: string): Buffer
}

export const DIALECTS: Readonly<Record<DialectName, Dialect>> = {
  websocket: {
    upgrade: (session) => upgradeRequest(`/?session=${session}`),
    hello: undefined,
    ready: serverFrame('ready'),
    publish: clientFrame,
    message: serverFrame,
  },
  // [Engine.IO 4, Socket.IO 5]: 4 is a message, 40 connects to the main namespace, 42 is an event.
  'socket-io': {
    upgrade: (session) => upgradeRequest(`/socket.io/?EIO=4&transport=websocket&session=${session}`),
    hello: clientFrame('40'),
    ready: serverFrame('42["m","ready"]'),
    publish: (payload) => clientFrame(`42["publish","${payload}"]`),
    message: (payload) => serverFrame(`42["m","${payload}"]`),
  },
}
