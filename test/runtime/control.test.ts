import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessageChannel } from 'node:worker_threads'
import { PolyloopError } from '../../src/lib/errors.ts'
import { controlOf, moving, serveControl, within } from '../../src/runtime/control.ts'

interface Api {
  add(a: number, b: number): number
  failOurs(): void
  failOther(): void
  never(): Promise<void>
  use(port: MessageChannel['port1']): void
}

class Served implements Api {
  add(a: number, b: number): number {
    return a + b
  }
  failOurs(): void {
    throw new PolyloopError('LISTEN_FAILED', { port: 80, reason: 'EACCES' })
  }
  failOther(): void {
    throw new TypeError('not ours')
  }
  never(): Promise<void> {
    return new Promise(() => {})
  }
  use(port: MessageChannel['port1']): void {
    port.postMessage('used')
    port.close()
  }
}

async function served(run: (api: ReturnType<typeof controlOf<Api>>) => Promise<void>): Promise<void> {
  const { port1, port2 } = new MessageChannel()
  serveControl(port2, new Served())
  try {
    await run(controlOf<Api>(port1))
  } finally {
    port1.close()
  }
}

test('control: a call is answered', () =>
  served(async (api) => {
    assert.equal(await within(30_000, 'add', 'test', api.add(2, 3)), 5)
  }))

test('control: our errors cross with code and details, others with message and stack', () =>
  served(async (api) => {
    await assert.rejects(within(30_000, 'failOurs', 'test', api.failOurs()), (error: unknown) => {
      assert.ok(error instanceof PolyloopError)
      assert.equal(error.code, 'LISTEN_FAILED')
      assert.deepEqual(error.details, { port: 80, reason: 'EACCES' })
      return true
    })
    await assert.rejects(within(30_000, 'failOther', 'test', api.failOther()), (error: unknown) => {
      assert.ok(error instanceof Error)
      assert.equal(error.message, 'not ours')
      assert.match(error.stack ?? '', /control\.test/)
      return true
    })
  }))

test('control: a call without an answer ends at its deadline', () =>
  served(async (api) => {
    await assert.rejects(within(10, 'never', 'shard 3', api.never()), (error: unknown) => {
      assert.ok(error instanceof PolyloopError)
      assert.equal(error.code, 'CONTROL_TIMEOUT')
      assert.deepEqual(error.details, { call: 'never', thread: 'shard 3', ms: 10 })
      return true
    })
  }))

test('control: ports move with a call', () =>
  served(async (api) => {
    const { port1, port2 } = new MessageChannel()
    const used = new Promise((resolve) => port1.once('message', resolve))
    await within(30_000, 'use', 'test', api.use(moving(port2, [port2])))
    assert.equal(await used, 'used')
    port1.close()
  }))
