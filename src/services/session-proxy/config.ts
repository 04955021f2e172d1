// What can be configured of the session proxy.
import { boolean, duration, oneOf, optional, secret, size } from '../../config/kind.ts'
import { type ConfigOf, option } from '../../config/option.ts'

export const SESSION_PROXY_OPTIONS = {
  authMode: option(
    oneOf(['redis', 'jwt']),
    'redis',
    'Who may open a session: `redis` compares the token with the key `session:{id}:auth` of the bridge, `jwt` verifies a signed one and asks nobody.',
  ),
  'jwt.secret': option(
    optional(secret({ minBytes: 32 })),
    undefined,
    'Secret of the tokens with `authMode: jwt` (HS256). Without one every token is refused.',
  ),
  authGrace: option(
    duration({ min: '1s', max: '720h' }),
    '3h',
    'How long a token serves reconnects: each connect lets its key live for so long again. Only with `authMode: redis`.',
  ),
  authTimeout: option(
    duration({ min: '10ms', max: '1m' }),
    '5s',
    'How long each step of a handshake may take: looking the token up (504), subscribing (503).',
  ),
  browserAuth: option(
    boolean(),
    false,
    'Also takes the token from `Sec-WebSocket-Protocol: polyloop.bearer, <base64url of the token>`, because pages cannot set headers.',
  ),
  maxMessageBytes: option(
    size({ min: '1KiB', max: '64MiB' }),
    '1MiB',
    'Longest text of a client; a longer one gets an error and close code 1009. At most `ring.messageMax`.',
  ),
  gapNotice: option(
    boolean(),
    true,
    'Tells clients that messages may be missing, after the bridge was cut off from its server.',
  ),
  pingInterval: option(duration({ min: '100ms', max: '1h' }), '15s', 'How often each client is pinged.'),
  pingTimeout: option(
    duration({ min: '200ms', max: '2h' }),
    '30s',
    'A client from which nothing came for so long is dropped with 1001. At least `pingInterval`; twice as long leaves a client time to answer.',
  ),
} as const

export type SessionProxyConfig = ConfigOf<typeof SESSION_PROXY_OPTIONS>
