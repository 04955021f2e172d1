// Kinds of option that only the hub has: who may do what, and rate limits.
import { type Kind, quoted, REFUSED } from '../../config/kind.ts'

const NAME = /^[a-z][a-z0-9_-]{0,62}$/
const NAMES_MAX = 64
/** All channels. */
const EVERY = '*'

/** A list of names in lower case; at least one. */
export function names(): Kind<readonly string[]> {
  return {
    accepts: `a list of 1 to ${NAMES_MAX} different names in lower case`,
    decode: (raw) => {
      const items = itemsOf(raw)
      if (items === undefined || items.length === 0 || items.length > NAMES_MAX) return REFUSED
      return items.every((item) => NAME.test(item)) && new Set(items).size === items.length ? items : REFUSED
    },
    encode: encodeList,
  }
}

/** `role=channel channel`; `*` is every channel, nothing behind the sign is none. */
export function grants(): Kind<Readonly<Record<string, readonly string[]>>> {
  return {
    accepts: 'a list of strings such as "viewer=metrics status" or "admin=*"',
    decode: (raw) => {
      const items = itemsOf(raw)
      if (items === undefined || items.length > NAMES_MAX) return REFUSED
      const all: Record<string, readonly string[]> = {}
      for (const item of items) {
        const [role = '', list, ...rest] = item.split('=')
        const channels = list?.split(' ').filter((one) => one !== '')
        if (!NAME.test(role) || role in all || channels === undefined || rest.length > 0) return REFUSED
        if (!channels.every((one) => one === EVERY || NAME.test(one))) return REFUSED
        all[role] = channels
      }
      return all
    },
    encode: (all) => encodeList(Object.entries(all).map(([role, channels]) => `${role}=${channels.join(' ')}`)),
  }
}

export interface Rate {
  /** Tokens of a full bucket. */
  readonly capacity: number
  /** Tokens a second. */
  readonly refill: number
}

const RATE = /^([a-z_]+)=(\d{1,6})\/(\d{1,6}(?:\.\d{1,3})?)$/

/** `type=capacity/refill`. */
export function rates(): Kind<Readonly<Record<string, Rate>>> {
  return {
    accepts: 'a list of strings such as "ping=120/2": messages at once, and a second',
    decode: (raw) => {
      const items = itemsOf(raw)
      if (items === undefined || items.length > NAMES_MAX) return REFUSED
      const all: Record<string, Rate> = {}
      for (const item of items) {
        const [, type, capacity, refill] = RATE.exec(item) ?? []
        if (type === undefined || type in all || Number(capacity) < 1 || Number(refill) <= 0) return REFUSED
        all[type] = { capacity: Number(capacity), refill: Number(refill) }
      }
      return all
    },
    encode: (all) =>
      encodeList(Object.entries(all).map(([type, { capacity, refill }]) => `${type}=${capacity}/${refill}`)),
  }
}

export interface DemoUser {
  readonly password: string
  readonly role: string
}

/** `name:password:role`; never printed. */
export function demoUsers(): Kind<Readonly<Record<string, DemoUser>>> {
  return {
    accepts: 'a list of strings name:password:role',
    decode: (raw) => {
      const items = itemsOf(raw)
      if (items === undefined || items.length > NAMES_MAX) return REFUSED
      const all: Record<string, DemoUser> = {}
      for (const item of items) {
        const [name = '', password = '', role = '', ...rest] = item.split(':')
        if (!NAME.test(name) || password === '' || !NAME.test(role) || rest.length > 0 || name in all) return REFUSED
        all[name] = { password, role }
      }
      return all
    },
    encode: (all) => encodeList(Object.entries(all).map(([name, user]) => `${name}:${user.password}:${user.role}`)),
    mask: (all) => encodeList(Object.entries(all).map(([name, { role }]) => `${name}:***:${role}`)),
  }
}

export function isGranted(channels: readonly string[] | undefined, channel: string): boolean {
  return channels !== undefined && (channels.includes(channel) || channels.includes(EVERY))
}

/** A YAML list of strings, or one string with commas. */
function itemsOf(raw: unknown): readonly string[] | undefined {
  if (raw === '') return []
  const items: unknown = typeof raw === 'string' ? raw.split(',').map((item) => item.trim()) : raw
  if (!Array.isArray(items)) return undefined
  return items.every((item): item is string => typeof item === 'string' && item !== '') ? items : undefined
}

function encodeList(items: readonly string[]): string {
  return `[${items.map(quoted).join(', ')}]`
}
