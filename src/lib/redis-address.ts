// Where a Redis is, as people write it: one URL for a server, for Sentinels, or for a Cluster. Knows nothing of what is
// done with it.
//
//   redis://[user:password@]host[:6379][/database]
//   redis+sentinel://[user:password@]host[:26379],host…/master[/database]
//   redis+cluster://[user:password@]host[:6379],host…
//
// `rediss` instead of `redis` means TLS. User and password are percent-encoded, and the data servers'; Sentinels with a
// password of their own get it from `?sentinelPassword=…`.

export interface RedisEndpoint {
  readonly host: string
  readonly port: number
}

export interface RedisAddress {
  readonly kind: 'standalone' | 'sentinel' | 'cluster'
  /** One server; or Sentinels; or some of the nodes of a Cluster. */
  readonly endpoints: readonly RedisEndpoint[]
  /** Name of the master that the Sentinels watch; else empty. */
  readonly master: string
  readonly tls: boolean
  readonly user: string | undefined
  readonly password: string | undefined
  readonly sentinelPassword: string | undefined
  readonly database: number
  /** The same without secrets, for logs. */
  readonly shown: string
}

const ADDRESS =
  /^(?<scheme>rediss?)(?:\+(?<kind>sentinel|cluster))?:\/\/(?:(?<secret>[^@/]*)@)?(?<hosts>[^/?#@]+)(?<path>\/[^?#]*)?(?:\?(?<query>[^#]*))?$/
const ENDPOINT = /^(?<host>\[[0-9A-Fa-f:.]+\]|[^:[\]\s]+)(?::(?<port>\d{1,5}))?$/
const PORT_MAX = 65_535

/** A text that is no address is answered by what is wrong with it, without the text: there may be a password in it. */
export function parseRedisAddress(text: string): RedisAddress | string {
  const found = ADDRESS.exec(text)?.groups
  if (found === undefined) return 'it is not of the form redis://host:port, redis+sentinel://… or redis+cluster://…'
  const kind = (found.kind ?? 'standalone') as RedisAddress['kind']
  const endpoints: RedisEndpoint[] = []
  for (const part of (found.hosts ?? '').split(',')) {
    const endpoint = endpointOf(part, kind === 'sentinel' ? 26_379 : 6_379)
    if (endpoint === undefined) return 'a host is host, host:port or [IPv6]:port'
    endpoints.push(endpoint)
  }
  if (kind === 'standalone' && endpoints.length > 1) return 'several hosts need redis+sentinel:// or redis+cluster://'
  const segments = (found.path ?? '').split('/').filter((segment) => segment !== '')
  const master = kind === 'sentinel' ? decoded(segments.shift()) : ''
  if (kind === 'sentinel' && (master === undefined || master === '')) return 'the name of the master is missing: …/name'
  const database = segments.shift() ?? '0'
  if (segments.length > 0 || !/^\d{1,6}$/.test(database)) return 'the path behind the hosts is the number of a database'
  if (kind === 'cluster' && database !== '0') return 'a Cluster has database 0 only'
  const [user, password] = secretOf(found.secret)
  if (user === undefined || password === undefined) return 'user and password are to be percent-encoded'
  const scheme = `${found.scheme}${kind === 'standalone' ? '' : `+${kind}`}`
  const path = `${master === '' ? '' : `/${master}`}${database === '0' ? '' : `/${database}`}`
  return {
    kind,
    endpoints,
    master: master ?? '',
    tls: found.scheme === 'rediss',
    user: user === '' ? undefined : user,
    password: password === '' ? undefined : password,
    sentinelPassword: new URLSearchParams(found.query ?? '').get('sentinelPassword') ?? undefined,
    database: Number(database),
    shown: `${scheme}://${found.hosts}${path}`,
  }
}

function endpointOf(text: string, defaultPort: number): RedisEndpoint | undefined {
  const { host, port } = ENDPOINT.exec(text)?.groups ?? {}
  if (host === undefined) return undefined
  const number = port === undefined ? defaultPort : Number(port)
  return number < 1 || number > PORT_MAX ? undefined : { host: host.replace(/^\[|\]$/g, ''), port: number }
}

/** `password`, `:password` and `user:password`. */
function secretOf(secret: string | undefined): [string | undefined, string | undefined] {
  if (secret === undefined) return ['', '']
  const colon = secret.indexOf(':')
  return colon < 0 ? ['', decoded(secret)] : [decoded(secret.slice(0, colon)), decoded(secret.slice(colon + 1))]
}

function decoded(text: string | undefined): string | undefined {
  try {
    return text === undefined ? undefined : decodeURIComponent(text)
  } catch {
    return undefined
  }
}
