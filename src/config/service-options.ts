// The rows of one service: what all services have, what its listeners need, and its own options.
import { CORE_OPTIONS } from './core-options.ts'
import { boolean, host, integer, list, optional, port, type TlsFiles, tls } from './kind.ts'
import { defineOptions, type Option, type OptionRows, option } from './option.ts'

export type Transport = 'tcp' | 'udp' | 'ws' | 'http'

export interface ListenerConfig {
  readonly host: string
  readonly port: number
  /** Absent for UDP. */
  readonly tls?: TlsFiles | undefined
  /** Absent for UDP. */
  readonly proxyProtocol?: boolean
}

interface CommonRows {
  readonly enabled: Option<boolean>
  readonly maxConnections: Option<number>
}
interface UdpRows {
  readonly host: Option<string>
  readonly port: Option<number>
}
interface StreamRows extends UdpRows {
  readonly tls: Option<TlsFiles | undefined>
  readonly proxyProtocol: Option<boolean>
}
interface WsRows {
  readonly permessageDeflate: Option<boolean>
}
interface HttpRows {
  readonly corsOrigins: Option<readonly string[]>
}

type Listeners = Partial<Record<Transport, { readonly port: number }>>
type Prefixed<Prefix extends string, Rows> = { [Key in keyof Rows & string as `${Prefix}.${Key}`]: Rows[Key] }
type ListenerRows<L> = UnionToIntersection<
  { [T in keyof L & string]: Prefixed<T, T extends 'udp' ? UdpRows : StreamRows> }[keyof L & string]
>
type UnionToIntersection<Union> = (Union extends unknown ? (member: Union) => void : never) extends (
  both: infer Both,
) => void
  ? Both
  : never

export type ServiceRows<Name extends string, Rows, L> = Prefixed<
  `services.${Name}`,
  CommonRows &
    ListenerRows<L> &
    (L extends { ws: unknown } ? WsRows : unknown) &
    (L extends { http: unknown } ? HttpRows : unknown) &
    Rows
>

/** What a service brings to the configuration. */
export interface ServiceShape {
  readonly name: string
  readonly options: OptionRows
  readonly listeners: Listeners
}

/** The whole table: the core rows, then those of each service. */
export function optionTable(services: Iterable<ServiceShape>): typeof CORE_OPTIONS & OptionRows {
  const tables = [...services].map((service) => serviceOptions(service.name, service))
  return defineOptions(Object.assign({}, CORE_OPTIONS, ...tables) as typeof CORE_OPTIONS & OptionRows)
}

/**
 * Rows under `services.<name>`: `enabled`, `maxConnections`, per listener `<transport>.{host,port}` and, but for UDP,
 * `{tls,proxyProtocol}`; `permessageDeflate` with a ws listener, `corsOrigins` with an http one; then its own options.
 */
export function serviceOptions<Name extends string, Rows extends OptionRows, L extends Listeners>(
  name: Name,
  service: { readonly options: Rows; readonly listeners: L },
): ServiceRows<Name, Rows, L> {
  const rows: Record<string, Option<unknown>> = {
    enabled: option(boolean(), true, `false turns ${name} off: its listeners stay closed.`),
    maxConnections: option(
      integer({ min: 1, max: 10_000_000 }),
      100_000,
      `Connections to ${name}; a surplus TCP connection is closed without data, a surplus request gets 503.`,
    ),
  }
  for (const [transport, listener] of Object.entries(service.listeners)) {
    rows[`${transport}.host`] = option(
      host(),
      'localhost',
      'Address to listen on; `localhost` is 127.0.0.1, and ::1 where the machine has IPv6.',
    )
    rows[`${transport}.port`] = option(port(), listener.port, 'Port to listen on; 0 picks a free one.')
    if (transport === 'udp') continue
    rows[`${transport}.tls`] = option(
      optional(tls()),
      undefined,
      'PEM files that turn TLS on; `polyloop reload` reads them again. Needed on a public address without a terminating proxy.',
    )
    rows[`${transport}.proxyProtocol`] = option(
      boolean(),
      false,
      "Take the client's address from a PROXY v1 or v2 header, and refuse connections without one. Only behind a proxy that sends it.",
    )
  }
  if (service.listeners.ws !== undefined) {
    rows.permessageDeflate = option(
      boolean(),
      false,
      'Offer RFC 7692 compression without context takeover: fewer bytes for more CPU.',
    )
  }
  if (service.listeners.http !== undefined) {
    rows.corsOrigins = option(list(), [], 'Origins that get CORS headers; `*` admits every one.')
  }
  Object.assign(rows, service.options)
  const prefixed = Object.entries(rows).map(([key, row]) => [`services.${name}.${key}`, row] as const)
  // The loop above builds what the type says; service-options.test.ts compares the keys of both.
  return defineOptions(Object.fromEntries(prefixed)) as unknown as ServiceRows<Name, Rows, L>
}
