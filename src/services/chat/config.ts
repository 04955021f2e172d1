// What can be configured of chat.
import { boolean, duration, integer, oneOf, optional, secret, size } from '../../config/kind.ts'
import { type ConfigOf, option } from '../../config/option.ts'

export const CHAT_OPTIONS = {
  httpUserId: option(
    integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    1,
    'The user that HTTP requests act as, without authentication.',
  ),
  autoCreateUsers: option(boolean(), false, 'Creates an unknown sender instead of refusing its message.'),
  auth: option(
    oneOf(['none', 'jwt']),
    'none',
    '`none` trusts the user ids in packets: only for trusted peers. `jwt` demands a token and holds every id against it.',
  ),
  'jwt.secret': option(
    optional(secret({ minBytes: 32 })),
    undefined,
    'Secret of the tokens (HS256). Without one every token is refused.',
  ),
  'rateLimit.rate': option(
    integer({ min: 0, max: 10_000 }),
    50,
    'Packets or requests per second of one user, or of one address without authentication; 0 turns the limit off.',
  ),
  'rateLimit.burst': option(
    integer({ min: 1, max: 1_000_000 }),
    200,
    'Packets or requests that may come at once before `rateLimit.rate` holds.',
  ),
  maxPacketBytes: option(
    size({ min: '1KiB', max: '512KiB' }),
    '64KiB',
    'Longest TCP packet; a longer one ends the connection.',
  ),
  packetTimeout: option(
    duration({ min: '100ms', max: '1h' }),
    '10s',
    'A TCP packet that is not complete so long after its first byte ends the connection.',
  ),
  idleTimeout: option(
    duration({ max: '24h' }),
    '300s',
    'A TCP connection without subscriptions that is silent for so long is closed; 0 turns that off.',
  ),
  maxDatagramBytes: option(integer({ min: 64, max: 65_507 }), 1_500, 'Longest datagram; a longer one is dropped.'),
  presenceTtl: option(duration({ min: '1s', max: '24h' }), '60s', 'How long a status holds unless it is repeated.'),
  typingTtl: option(duration({ min: '1s', max: '1h' }), '5s', 'How long somebody counts as typing.'),
  cacheBytes: option(
    size({ min: '4KiB', max: '64MiB' }),
    '256KiB',
    'Recent messages of one chat kept in memory; older ones are read from the store.',
  ),
  cacheBytesTotal: option(
    size({ min: '64KiB', max: '64GiB' }),
    '64MiB',
    'Recent messages of all chats of one shard kept in memory; beyond it the chat that was read longest ago loses its own.',
  ),
} as const

export type ChatConfig = ConfigOf<typeof CHAT_OPTIONS>
