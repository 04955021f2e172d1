// How the audience of a hub speaks to the hub, to a bare `ws` server and to a room of Socket.IO. Frames are written with a
// mask of zeros, which is one, too: these programs have more to do than the server.

export type HubPeer = 'hub' | 'ws' | 'socket-io'

export interface HubDialect {
  /** Of the upgrade. The publisher comes with `token` where there are such. */
  path(who: 'subscriber' | 'publisher', order: HubOrder): string
  /** What a server is asked for that compresses by an extension. */
  readonly compressesByExtension: boolean
  /** What a client says behind its 101, if that is anything. */
  hello(who: 'subscriber' | 'publisher'): string | undefined
  /** Frames of the server before one is ready. */
  readonly greetings: Readonly<Record<'subscriber' | 'publisher', number>>
  /** What the publisher says to have `data`, a JSON object, brought to all. */
  publish(data: string): string
}

export interface HubOrder {
  readonly isCompressed: boolean
  readonly token: string
}

const CHANNEL = 'metrics'
/** As long as an event of the hub, whose head is this one. */
const HEAD = `"channel":"${CHANNEL}","timestamp":"2026-01-01T00:00:00.000Z","event_type":"tick","data":`

export const HUB_DIALECTS: Readonly<Record<HubPeer, HubDialect>> = {
  hub: {
    path(who, { isCompressed, token }) {
      if (who === 'publisher') return `/ws?token=${token}`
      return isCompressed ? '/ws?compression=gzip' : '/ws'
    },
    compressesByExtension: false,
    hello: (who) => (who === 'publisher' ? undefined : `{"type":"subscribe","channel":"${CHANNEL}"}`),
    // `connected`, and `subscribed`.
    greetings: { subscriber: 2, publisher: 1 },
    publish: (data) => `{"type":"broadcast","channel":"${CHANNEL}","event_type":"tick","data":${data}}`,
  },
  ws: {
    path: (who) => `/?session=${who}`,
    compressesByExtension: true,
    hello: () => undefined,
    greetings: { subscriber: 1, publisher: 1 },
    publish: (data) => `{${HEAD}${data}}`,
  },
  // [Engine.IO 4, Socket.IO 5]: 4 is a message, 40 connects to the main namespace, 42 is an event.
  'socket-io': {
    path: (who) => `/socket.io/?EIO=4&transport=websocket&session=${who}`,
    compressesByExtension: true,
    hello: () => '40',
    // `open`, `connect`, `ready`.
    greetings: { subscriber: 3, publisher: 3 },
    publish: (data) => `42["publish",{${HEAD}${data}}]`,
  },
}
