// What can be configured of the hub.
import { boolean, duration, integer, list, optional, secret, size } from '../../config/kind.ts'
import { type ConfigOf, option } from '../../config/option.ts'
import { demoUsers, grants, names, rates } from './config-kind.ts'

export const DEFAULT_CHANNELS = ['metrics', 'signals', 'actions', 'logs', 'status', 'connections'] as const

export const HUB_OPTIONS = {
  'jwt.secret': option(
    optional(secret({ minBytes: 32 })),
    undefined,
    'Secret of the tokens (HS256). Without one every token is refused, and all clients are anonymous.',
  ),
  'jwt.requireExp': option(boolean(), false, 'Refuses tokens that do not say when they expire.'),
  closeOnTokenExpiry: option(
    boolean(),
    false,
    'Closes a connection with 4501 when its token expires; otherwise it outlives it.',
  ),
  allowedOrigins: option(list(), [], 'Origins that browsers may connect from; others get 403. Empty admits all.'),
  corsOrigins: option(list(), [], 'Origins that get CORS headers; `*` admits every one.'),
  channels: option(
    names(),
    [...DEFAULT_CHANNELS],
    'The channels. What the hub itself tells goes to those of the default.',
  ),
  'roles.subscribe': option(
    grants(),
    [
      'admin=*',
      'developer=metrics status signals actions logs',
      'viewer=metrics status',
      'bot=metrics status signals',
      'anonymous=metrics status',
    ],
    'Who may subscribe to what: a role, and channels or `*`. A role that is not named has no rights.',
  ),
  'roles.broadcast': option(grants(), ['admin=*'], 'Who may broadcast to what, in the same way.'),
  anonymousTokens: option(boolean(), true, 'Gives reconnection tokens also to clients that are nobody.'),
  tokenTtl: option(duration({ min: '1s', max: '1h' }), '300s', 'How long a reconnection token is valid.'),
  bufferSize: option(
    integer({ min: 1, max: 100_000 }),
    1_000,
    'Missed events that a restored session gets; of more the oldest are dropped.',
  ),
  'history.size': option(
    integer({ min: 1, max: 100_000 }),
    1_000,
    'Events that each channel keeps for clients that come back.',
  ),
  'history.ttl': option(duration({ min: '1s', max: '24h' }), '5m', 'How long they are kept.'),
  'history.bytes': option(
    size({ min: '64KiB', max: '1GiB' }),
    '32MiB',
    'Bytes that each channel keeps at most, on the shard where it lives and on each that serves it.',
  ),
  rateLimits: option(
    rates(),
    [],
    'Messages of a type that a session may send at once, and a second, where that is not the default: `ping=120/2`.',
  ),
  rateLimitBurst: option(integer({ min: 0, max: 100_000 }), 0, 'Added to what may come at once, of every type.'),
  newSessionsPerMinute: option(
    integer({ min: 0, max: 1_000_000 }),
    600,
    'New sessions of one address; beyond it 429. Loopback is exempt; 0 turns it off.',
  ),
  pingInterval: option(duration({ min: '100ms', max: '1h' }), '30s', 'How often each client is pinged.'),
  pingTimeout: option(
    duration({ min: '200ms', max: '2h' }),
    '90s',
    'A client from which nothing came for so long is closed with 1001. At least `pingInterval`.',
  ),
  metricsInterval: option(
    duration({ min: '100ms', max: '1h' }),
    '5s',
    'How often the channel `metrics` tells of the process.',
  ),
  'metrics.byUser': option(
    boolean(),
    false,
    'Counts connections by user, of at most 100 users. It puts user ids into the metrics.',
  ),
  demoUsers: option(
    demoUsers(),
    [],
    'Users that may log in for a token, each `name:password:role`. For demonstrations only; needs `jwt.secret`.',
  ),
} as const

export type HubConfig = ConfigOf<typeof HUB_OPTIONS>
