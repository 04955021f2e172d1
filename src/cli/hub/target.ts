// Where a hub is and who the tool is to it, read from the command line. Pure.
import { printable } from '../chat-packet.ts'

export const DEFAULT_URL = 'ws://localhost:8000/ws'
const PATH = '/ws'
/** What no HTTP header can carry. */
const HEADERLESS = /[^\x21-\x7e]/

/** The flags that all tools of the hub have, as typed. */
export interface HubOptions {
  readonly url?: string
  readonly token?: string
}

export interface HubTarget {
  readonly url: string
  /** A JWT, or undefined: nobody. */
  readonly token: string | undefined
}

export function targetOf({ url = DEFAULT_URL, token }: HubOptions): HubTarget | { readonly problems: string[] } {
  const problems: string[] = []
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed === undefined || (parsed.protocol !== 'ws:' && parsed.protocol !== 'wss:'))
    problems.push(`--url is ws://host:port/ws or wss://host:port/ws, not "${printable(url)}"`)
  if (token !== undefined && HEADERLESS.test(token)) problems.push('--token has characters that no token has')
  if (parsed === undefined || problems.length > 0) return { problems }
  if (parsed.pathname === '/') parsed.pathname = PATH
  parsed.hash = ''
  return { url: parsed.href, token: token === '' ? undefined : token }
}

/** The same hub, with these members in the query. */
export function withQuery({ url, token }: HubTarget, members: Readonly<Record<string, string>>): HubTarget {
  const parsed = new URL(url)
  for (const [name, value] of Object.entries(members)) parsed.searchParams.set(name, value)
  return { url: parsed.href, token }
}

/** For people: what stands in the query is nobody's business. */
export function shownUrl({ url }: HubTarget): string {
  return url.replace(/\?.*$/s, '')
}

/** What it serves over HTTP, on the same port. */
export function httpUrl({ url }: HubTarget, path: string): string {
  const { protocol, host } = new URL(url)
  return `${protocol === 'wss:' ? 'https' : 'http'}://${host}${path}`
}
