// The listeners of a process: definitions and configuration made into the plain list that acceptor and shards share.
import type { ListenerConfig, Transport } from '../config/service-options.ts'
import type { ListenerSpec, ListeningAddress } from '../net/listener-spec.ts'
import type { ServiceDefinition } from '../services/service.ts'

interface ServiceConfig extends Readonly<Partial<Record<Transport, ListenerConfig>>> {
  readonly enabled: boolean
  readonly maxConnections: number
  readonly permessageDeflate?: boolean
}

/** `config` is `services` of the configuration. A service's index is its place in the list, enabled or not. */
export function listenersOf(
  services: readonly ServiceDefinition[],
  config: unknown,
  only?: readonly string[],
): ListenerSpec[] {
  const configs = config as Readonly<Record<string, ServiceConfig>>
  const listeners: ListenerSpec[] = []
  for (const [serviceIndex, service] of services.entries()) {
    const own = configs[service.name]
    if (own === undefined || !own.enabled || only?.includes(service.name) === false) continue
    for (const transport of Object.keys(service.listeners) as Transport[]) {
      const listener = own[transport]
      if (listener === undefined) continue
      listeners.push({
        index: listeners.length,
        service: service.name,
        serviceIndex,
        transport,
        host: listener.host,
        port: listener.port,
        tls: listener.tls,
        proxyProtocol: listener.proxyProtocol ?? false,
        permessageDeflate: transport === 'ws' && own.permessageDeflate === true,
        serviceConnectionsMax: own.maxConnections,
        connectionsMax: service.connectionsMax?.(transport, own),
      })
    }
  }
  return listeners
}

/** Where port 0 was asked for, a later acceptor takes the port that the first one got. */
export function withPorts(
  listeners: readonly ListenerSpec[],
  addresses: readonly ListeningAddress[],
): readonly ListenerSpec[] {
  return listeners.map((listener) => {
    const open = addresses.find((one) => one.service === listener.service && one.transport === listener.transport)
    return open === undefined ? listener : { ...listener, port: open.port }
  })
}
