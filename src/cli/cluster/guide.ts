// What `polyloop cluster` shows when all is there: a table of addresses, and commands that let a message go from host to
// host. Pure.
import { tableLines } from '../table.ts'
import type { HostPlan } from './plan.ts'

const SCHEMES: Readonly<Record<string, string>> = { ws: 'ws://', http: 'http://' }
const LOOPBACK = '127.0.0.1'

export interface GuideFacts {
  readonly plans: readonly HostPlan[]
  readonly redisUrl: string
  /** Chat is one for all hosts. */
  readonly isChatShared: boolean
  readonly hasToken: boolean
  readonly pidOf: (host: number) => number | undefined
}

export function addressLines({ plans }: Pick<GuideFacts, 'plans'>): string[] {
  const columns = [{ title: '' }, ...plans.map(({ number }) => ({ title: `host ${number}` }))]
  const rows = (plans[0]?.listeners ?? []).map(({ name }, index) => [
    name === 'admin' ? 'dashboard' : name,
    ...plans.map(({ listeners }) => (listeners[index] === undefined ? '' : addressOf(listeners[index]))),
  ])
  return tableLines(columns, rows)
}

/** Only what this cluster has: services may be turned off. */
export function guideLines({ plans, redisUrl, isChatShared, hasToken, pidOf }: GuideFacts): string[] {
  const [first, second, last] = [plans[0], plans[1], plans.at(-1)]
  if (first === undefined || second === undefined || last === undefined) return []
  const secret = hasToken ? " -H 'authorization: Bearer TOKEN'" : ''
  const address = (plan: HostPlan, name: string): string | undefined => {
    const listener = plan.listeners.find((one) => one.name === name)
    return listener && addressOf(listener)
  }
  const portOf = (plan: HostPlan, name: string): number | undefined =>
    plan.listeners.find((one) => one.name === name)?.port
  const lines = ['Try, in other terminals:']
  const [session, admin, other] = [
    address(first, 'session-proxy ws'),
    address(first, 'admin'),
    address(second, 'admin'),
  ]
  if (session !== undefined) {
    lines.push(
      '  a session that is connected to host 1, and spoken to through host 2',
      `    curl -X PUT ${admin}/api/v1/session-proxy/s1/token${secret} -d '{"token":"t1","ttl":600}'`,
      `    npx polyloop ws-bidir-client me s1 t1 --url ${session}`,
      `    curl ${other}/api/v1/session-proxy/s1/messages${secret} -H 'content-type: application/json' -d '{"hello":1}'`,
    )
  }
  const [near, far] = [portOf(first, 'chat tcp'), portOf(last, 'chat tcp')]
  if (isChatShared && near !== undefined) {
    lines.push(
      `  a chat: what is said on host ${last.number} is pushed on host 1`,
      `    npx polyloop chat-tcp --port ${near} --subscribe`,
      `    npx polyloop chat-tcp --port ${far} --text 'hello from host ${last.number}'`,
    )
  }
  lines.push(
    '  the crash of a host: the others go on, and it starts again',
    `    kill -9 ${pidOf(second.number) ?? 'PID'}`,
    '  what Redis does',
    `    redis-cli -u ${redisUrl} monitor`,
  )
  return lines
}

function addressOf({ name, host, port }: HostPlan['listeners'][number]): string {
  const shown = host === 'localhost' || host === '0.0.0.0' || host === '::' ? LOOPBACK : host
  const scheme = name === 'admin' ? 'http://' : (SCHEMES[name.split(' ')[1] ?? ''] ?? '')
  return `${scheme}${shown.includes(':') ? `[${shown}]` : shown}:${port === 0 ? '(free)' : port}`
}
