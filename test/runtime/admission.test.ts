import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ListenerSpec } from '../../src/net/listener-spec.ts'
import { Admission } from '../../src/runtime/admission.ts'

function listener(index: number, options: Partial<ListenerSpec> = {}): ListenerSpec {
  return {
    index,
    service: `service${index}`,
    serviceIndex: index,
    transport: 'tcp',
    host: '127.0.0.1',
    port: 0,
    tls: undefined,
    proxyProtocol: false,
    permessageDeflate: false,
    serviceConnectionsMax: 100,
    connectionsMax: undefined,
    ...options,
  }
}

test('admission: the limit of a service counts what shards and acceptor hold', () => {
  const a = listener(0, { serviceConnectionsMax: 3 })
  let onShards = 2
  const admission = new Admission({ connectionsMax: 100, connectionsPerAddressMax: 0 }, [a], () => onShards)
  assert.equal(admission.enter(a), undefined)
  assert.equal(admission.enter(a), 'service_limit')
  admission.leave(1, a, 0)
  onShards = 3
  assert.equal(admission.enter(a), 'service_limit')
  onShards = 2
  assert.equal(admission.enter(a), undefined)
})

test('admission: the limit of the process is over all services', () => {
  const [a, b] = [listener(0), listener(1)]
  const admission = new Admission({ connectionsMax: 5, connectionsPerAddressMax: 0 }, [a, b], (service) => 2 + service)
  assert.equal(admission.enter(a), 'process_limit')
  assert.equal(admission.enter(b), 'process_limit')
})

test('admission: an address has its own limit, freed by the end of a connection', () => {
  const a = listener(0)
  const admission = new Admission({ connectionsMax: 100, connectionsPerAddressMax: 2 }, [a], () => 0)
  assert.equal(admission.tracks, true)
  assert.equal(admission.track(1, a, '10.0.0.1'), undefined)
  assert.equal(admission.track(2, a, '10.0.0.1'), undefined)
  assert.equal(admission.track(3, a, '10.0.0.1'), 'address_limit')
  assert.equal(admission.track(4, a, '10.0.0.2'), undefined)
  admission.ended(1)
  admission.ended(1)
  assert.equal(admission.track(5, a, '10.0.0.1'), undefined)
  assert.equal(admission.track(6, a, '10.0.0.1'), 'address_limit')
})

test('admission: one that is turned away frees its place', () => {
  const a = listener(0, { connectionsMax: 1 })
  const admission = new Admission({ connectionsMax: 100, connectionsPerAddressMax: 0 }, [a], () => 0)
  assert.equal(admission.track(1, a, 'x'), undefined)
  assert.equal(admission.listenerFull(a), true)
  assert.equal(admission.track(2, a, 'x'), 'service_limit')
  admission.leave(1, a, -1)
  assert.equal(admission.listenerFull(a), false)
})

test('admission: a dead shard frees what it had, and only that', () => {
  const a = listener(0)
  const admission = new Admission({ connectionsMax: 100, connectionsPerAddressMax: 2 }, [a], () => 0)
  for (const id of [1, 2]) {
    assert.equal(admission.track(id, a, 'x'), undefined)
    admission.leave(id, a, id)
  }
  admission.shardEnded(1)
  assert.equal(admission.track(3, a, 'x'), undefined)
  assert.equal(admission.track(4, a, 'x'), 'address_limit')
})

test('admission: without such limits nothing is tracked', () => {
  const a = listener(0)
  const admission = new Admission({ connectionsMax: 100, connectionsPerAddressMax: 0 }, [a], () => 0)
  assert.equal(admission.tracks, false)
  assert.equal(admission.track(1, a, 'x'), undefined)
})
