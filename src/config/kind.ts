// Kinds of option value: what a kind accepts, how it is read from YAML, environment or flag, and how it is written.
// Knows nothing of keys. A new kind is one function here.
import { formatDuration, formatSize, parseDuration, parseSize } from '../lib/units.ts'

/** The answer of `decode` to a value outside the bounds. */
export const REFUSED: unique symbol = Symbol('refused')

export interface Kind<T> {
  /** The bound in words, after "must be": `an integer from 1 to 64`. */
  readonly accepts: string
  /** Names below the key, for a value that is a small object. */
  readonly members?: readonly string[]
  /** From a YAML value, or from the string of an environment variable or flag. */
  decode(raw: unknown): T | typeof REFUSED
  /** In the notation of a YAML value. */
  encode(value: T): string
  /** What may be shown of a value that holds a secret. */
  mask?(value: T): string
}

/** Whole numbers. */
export function integer(bounds: { readonly min: number; readonly max: number }): Kind<number> {
  return {
    accepts: `an integer from ${bounds.min} to ${bounds.max}`,
    decode: (raw) => bounded(typeof raw === 'string' && /^-?\d+$/.test(raw) ? Number(raw) : raw, bounds, 1),
    encode: String,
  }
}

/** Numbers with a fraction. */
export function number(bounds: { readonly min: number; readonly max: number }): Kind<number> {
  return {
    accepts: `a number from ${bounds.min} to ${bounds.max}`,
    decode: (raw) => bounded(typeof raw === 'string' && /^-?\d+(\.\d+)?$/.test(raw) ? Number(raw) : raw, bounds),
    encode: String,
  }
}

export function boolean(): Kind<boolean> {
  return {
    accepts: 'true or false',
    decode: (raw) => {
      if (raw === true || raw === 'true') return true
      return raw === false || raw === 'false' ? false : REFUSED
    },
    encode: String,
  }
}

/** Bytes; bounds are written as sizes: `size({ min: '4KiB', max: '1GiB' })`. */
export function size(bounds: {
  readonly min?: string
  readonly max: string
  readonly powerOfTwo?: boolean
}): Kind<number> {
  const limits = { min: parseSize(bounds.min ?? '0B') ?? 0, max: parseSize(bounds.max) ?? 0 }
  return {
    accepts: `a size${bounds.powerOfTwo ? ' that is a power of two,' : ''} from ${formatSize(limits.min)} to ${formatSize(limits.max)}`,
    decode: (raw) => {
      const bytes = bounded(isText(raw) ? parseSize(raw) : undefined, limits)
      return bytes !== REFUSED && bounds.powerOfTwo && !Number.isInteger(Math.log2(bytes)) ? REFUSED : bytes
    },
    encode: formatSize,
  }
}

/** Milliseconds in the program; a bare number in the configuration is seconds. Bounds are written as durations. */
export function duration(bounds: { readonly min?: string; readonly max: string }): Kind<number> {
  const limits = { min: parseDuration(bounds.min ?? '0s') ?? 0, max: parseDuration(bounds.max) ?? 0 }
  return {
    accepts: `a duration from ${formatDuration(limits.min)} to ${formatDuration(limits.max)}`,
    decode: (raw) => bounded(isText(raw) ? parseDuration(raw) : undefined, limits),
    encode: formatDuration,
  }
}

const TEXT_BYTES_MAX = 4096

/** Text. A YAML number is refused rather than turned into text that lost its leading zeros. */
export function string(bounds: { readonly minBytes?: number; readonly maxBytes?: number } = {}): Kind<string> {
  const { minBytes = 1, maxBytes = TEXT_BYTES_MAX } = bounds
  return {
    accepts: `a string of ${minBytes} to ${maxBytes} bytes`,
    decode: (raw) => {
      if (typeof raw !== 'string') return REFUSED
      const bytes = Buffer.byteLength(raw)
      return bytes >= minBytes && bytes <= maxBytes ? raw : REFUSED
    },
    encode: quoted,
  }
}

/** Text that is never printed. */
export function secret(bounds: { readonly minBytes?: number; readonly maxBytes?: number } = {}): Kind<string> {
  return { ...string(bounds), mask: () => quoted('***') }
}

/** A closed set of words; `aliases` are other spellings that are read and never written. */
export function oneOf<const Word extends string>(
  words: readonly Word[],
  aliases: Readonly<Record<string, Word>> = {},
): Kind<Word> {
  const known = new Map<unknown, Word>([...Object.entries(aliases), ...words.map((word) => [word, word] as const)])
  return {
    accepts: `one of ${[...words, ...Object.keys(aliases)].join(', ')}`,
    decode: (raw) => known.get(raw) ?? REFUSED,
    encode: quoted,
  }
}

/** A host name or an IP address, without a port. IPv6 without brackets. */
export function host(): Kind<string> {
  return {
    accepts: 'a host name or an IP address, without a port',
    decode: (raw) =>
      typeof raw === 'string' && /^([A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})|[0-9A-Fa-f:.]{2,45}(%\w{1,16})?)$/.test(raw)
        ? raw
        : REFUSED,
    encode: quoted,
  }
}

/** A port to listen on; 0 picks a free one. */
export function port(): Kind<number> {
  return integer({ min: 0, max: 65_535 })
}

/** A URL of one of the protocols (`redis:`). Its password is never printed. */
export function url(protocols: readonly string[]): Kind<string> {
  return {
    accepts: `a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`,
    decode: (raw) => {
      const parsed = typeof raw === 'string' ? URL.parse(raw) : null
      return parsed !== null && protocols.includes(parsed.protocol) && parsed.hostname !== '' ? String(raw) : REFUSED
    },
    encode: quoted,
    mask: (value) => {
      const shown = new URL(value)
      if (shown.password !== '') shown.password = '***'
      return quoted(shown.href)
    },
  }
}

const LIST_ITEMS_MAX = 256

/** Strings: a YAML list, or one string with commas. */
export function list(): Kind<readonly string[]> {
  return {
    accepts: `a list of at most ${LIST_ITEMS_MAX} strings`,
    decode: (raw) => {
      const items: unknown = typeof raw === 'string' ? raw.split(',').map((item) => item.trim()) : raw
      if (!Array.isArray(items) || items.length > LIST_ITEMS_MAX) return REFUSED
      if (raw === '') return []
      return items.every((item): item is string => typeof item === 'string' && item !== '') ? items : REFUSED
    },
    encode: (items) => `[${items.map(quoted).join(', ')}]`,
  }
}

export interface TlsFiles {
  readonly cert: string
  readonly key: string
}

/** PEM files; both are needed. Whether they can be read is checked by `relation.ts`. */
export function tls(): Kind<TlsFiles> {
  return {
    accepts: 'cert and key, the paths of two PEM files',
    members: ['cert', 'key'],
    decode: (raw) => {
      if (typeof raw !== 'object' || raw === null || Object.keys(raw).length !== 2) return REFUSED
      const { cert, key } = raw as Partial<Record<string, unknown>>
      if (typeof cert !== 'string' || typeof key !== 'string' || cert === '' || key === '') return REFUSED
      return { cert, key }
    },
    encode: (files) => `{ cert: ${quoted(files.cert)}, key: ${quoted(files.key)} }`,
  }
}

/** The value, or the word `auto` that lets the program choose. */
export function auto<T>(kind: Kind<T>): Kind<T | 'auto'> {
  return {
    ...kind,
    accepts: `auto, or ${kind.accepts}`,
    decode: (raw) => (raw === 'auto' ? 'auto' : kind.decode(raw)),
    encode: (value) => (value === 'auto' ? 'auto' : kind.encode(value as T)),
  }
}

/** The value, or nothing (`null` in YAML). */
export function optional<T>(kind: Kind<T>): Kind<T | undefined> {
  const { mask } = kind
  return {
    ...kind,
    decode: (raw) => kind.decode(raw),
    encode: (value) => (value === undefined ? 'null' : kind.encode(value)),
    ...(mask && { mask: (value) => (value === undefined ? 'null' : mask(value)) }),
  }
}

/** A YAML scalar: plain where that is unmistakable, otherwise quoted (JSON is YAML). */
export function quoted(text: string): string {
  return /^[A-Za-z/][\w./-]*$/.test(text) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(text)
    ? text
    : JSON.stringify(text)
}

function bounded(
  amount: unknown,
  bounds: { readonly min: number; readonly max: number },
  step = 0,
): number | typeof REFUSED {
  if (typeof amount !== 'number' || (step === 1 && !Number.isSafeInteger(amount))) return REFUSED
  return amount >= bounds.min && amount <= bounds.max ? amount : REFUSED
}

function isText(raw: unknown): raw is string | number {
  return typeof raw === 'string' || typeof raw === 'number'
}
