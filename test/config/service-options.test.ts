import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CORE_OPTIONS } from '../../src/config/core-options.ts'
import { duration, oneOf, type TlsFiles } from '../../src/config/kind.ts'
import { loadConfig } from '../../src/config/loader.ts'
import { option } from '../../src/config/option.ts'
import { type ListenerConfig, serviceOptions } from '../../src/config/service-options.ts'

const echo = serviceOptions('echo', {
  options: {
    mode: option(oneOf(['prefixed', 'raw'], { complete: 'prefixed' }), 'prefixed', 'How TCP echoes.'),
    idleTimeout: option(duration({ max: '1h' }), '60s', 'Silence that ends a connection.'),
  },
  listeners: { tcp: { port: 8084 }, udp: { port: 8084 }, ws: { port: 8085 } },
})

test('service options: common rows, rows per listener, then its own', () => {
  assert.deepEqual(Object.keys(echo), [
    'services.echo.enabled',
    'services.echo.maxConnections',
    'services.echo.tcp.host',
    'services.echo.tcp.port',
    'services.echo.tcp.tls',
    'services.echo.tcp.proxyProtocol',
    'services.echo.udp.host',
    'services.echo.udp.port',
    'services.echo.ws.host',
    'services.echo.ws.port',
    'services.echo.ws.tls',
    'services.echo.ws.proxyProtocol',
    'services.echo.permessageDeflate',
    'services.echo.mode',
    'services.echo.idleTimeout',
  ])
  assert.equal(echo['services.echo.ws.port'].default, 8085)
  assert.equal(echo['services.echo.idleTimeout'].default, 60_000)
})

test('service options: an http listener brings corsOrigins and no permessageDeflate', () => {
  const rows = serviceOptions('api', { options: {}, listeners: { http: { port: 80 } } })
  assert.deepEqual(rows['services.api.corsOrigins'].default, [])
  assert.ok(!('services.api.permessageDeflate' in rows))
})

test('config type: follows from the rows', () => {
  // The annotations are the test: tsc refuses the file when the inferred type is another.
  const { config } = loadConfig({ options: { ...CORE_OPTIONS, ...echo } })
  const max: number = config.net.sendBuffer.max
  const shards: number | 'auto' = config.shards
  const mode: 'prefixed' | 'raw' = config.services.echo.mode
  const tls: TlsFiles | undefined = config.services.echo.tcp.tls
  const listener: ListenerConfig = config.services.echo.udp
  assert.deepEqual([max, shards, mode, tls, listener.port], [10_485_760, 'auto', 'prefixed', undefined, 8084])
  // @ts-expect-error UDP has no TLS
  assert.equal(config.services.echo.udp.tls, undefined)
  // @ts-expect-error a number is not a string
  const wrong: string = config.net.backlog
  assert.equal(wrong, 511)
})
