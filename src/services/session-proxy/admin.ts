// The session proxy on the admin port, for backends without Redis: sets tokens, sends to sessions, and shows what their
// clients say. It goes through the bridge, so it works with Redis too. [PROTOCOLS 5.3]
import type { Bridge } from '../../bridge/bridge.ts'
import { ERRORS, PolyloopError } from '../../lib/errors.ts'
import type { AdminAnswer, AdminEvents, AdminRequest, AdminRoute } from '../../observe/admin-route.ts'
import type { AdminContext } from '../service.ts'
import { keyOf } from './gate.ts'
import { channelOf } from './member.ts'
import { isSessionId } from './target.ts'

const PATH = '/api/v1/session-proxy/:id'
/** Of a message; `ring.messageMax` says how long one may be. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024
const TOKEN_BYTES_MAX = 8 * 1024

interface TokenBody {
  readonly token?: unknown
  readonly ttl?: unknown
}

export function adminRoutes({ bridge }: AdminContext): readonly AdminRoute[] {
  return [
    {
      method: 'PUT',
      path: `${PATH}/token`,
      handle: (request) => withId(request, (session) => setToken(bridge, session, request.body)),
    },
    {
      method: 'POST',
      path: `${PATH}/messages`,
      bodyBytesMax: MESSAGE_BYTES_MAX,
      handle: (request) => withId(request, (session) => publish(bridge, session, request.body)),
    },
    {
      method: 'GET',
      path: `${PATH}/messages`,
      handle: (request) => withId(request, (session) => ({ events: (sink) => listen(bridge, session, sink) })),
    },
  ]
}

function withId(
  { parameters }: AdminRequest,
  answer: (session: string) => AdminAnswer | Promise<AdminAnswer>,
): AdminAnswer | Promise<AdminAnswer> {
  const { id = '' } = parameters
  return isSessionId(id) ? answer(id) : { status: 400, body: { error: 'Invalid session id' } }
}

async function setToken(bridge: Bridge, session: string, body: Buffer): Promise<AdminAnswer> {
  const { token, ttl } = membersOf(body)
  if (typeof token !== 'string' || token === '' || Buffer.byteLength(token) > TOKEN_BYTES_MAX) {
    return { status: 400, body: { error: `token is a string of 1 to ${TOKEN_BYTES_MAX} bytes` } }
  }
  const ttlSeconds = ttl ?? undefined
  if (ttlSeconds !== undefined && !(typeof ttlSeconds === 'number' && ttlSeconds > 0)) {
    return { status: 400, body: { error: 'ttl is a number of seconds' } }
  }
  return orFailure(async () => {
    await bridge.set({ key: keyOf(session), value: Buffer.from(token), ttlSeconds })
    return { status: 200, body: { status: 'ok' } }
  })
}

function publish(bridge: Bridge, session: string, payload: Buffer): Promise<AdminAnswer> {
  return orFailure(async () => {
    const subscribers = await bridge.publish({ channel: channelOf(session, 'down'), payload })
    return { status: 202, body: { status: 'accepted', subscribers } }
  })
}

function listen(bridge: Bridge, session: string, sink: AdminEvents): () => void {
  const subscription = bridge.subscribe(channelOf(session, 'up'), {
    message: (payload) => sink.send(payload.toString()),
    gap: () => sink.send('{}', 'gap'),
  })
  subscription.confirmed.then(
    () => sink.begin(),
    (error: unknown) => sink.fail(failureOf(error)),
  )
  return () => subscription.end()
}

async function orFailure(run: () => Promise<AdminAnswer>): Promise<AdminAnswer> {
  try {
    return await run()
  } catch (error) {
    return failureOf(error)
  }
}

function failureOf(error: unknown): { readonly status: number; readonly body: Readonly<Record<string, unknown>> } {
  if (!(error instanceof PolyloopError)) throw error
  const { text, retryable } = ERRORS[error.code]
  const status = error.code === 'MESSAGE_TOO_LARGE' ? 413 : retryable ? 503 : 500
  return { status, body: { error: text, code: error.code } }
}

function membersOf(body: Buffer): TokenBody {
  try {
    const value: unknown = JSON.parse(body.toString())
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    // What is no JSON has no token.
    return {}
  }
}
