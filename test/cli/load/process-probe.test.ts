import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  cpuNsBetween,
  cpuNsOf,
  type ProcessSample,
  sampleProcess,
  scheduledNsOf,
} from '../../../src/cli/load/process-probe.ts'

test('process-probe: the files of /proc', () => {
  assert.equal(scheduledNsOf('123456789 42 7\n'), 123_456_789)
  // The name of a thread may look like anything.
  const stat = '12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 100 200 300'
  assert.equal(cpuNsOf(stat), 2e9)
})

test('process-probe: between two samples, threads that came are counted from zero, and those that went are not', () => {
  const sampleOf = (cpuNs: Record<string, number>): ProcessSample => ({
    cpuNsByThread: new Map(Object.entries(cpuNs)),
    residentBytes: 0,
  })
  const before = sampleOf({ 1: 100, 2: 50 })
  const after = sampleOf({ 1: 160, 3: 5 })
  assert.equal(cpuNsBetween(before, after), 65)
})

test('process-probe: no process, no Linux', () => {
  assert.equal(sampleProcess(2 ** 30, 'linux'), 'there is no process 1073741824')
  assert.equal(sampleProcess(process.pid, 'darwin'), 'not available on darwin')
})

test('process-probe: this process uses processor time', { skip: process.platform !== 'linux' }, () => {
  const before = sampleProcess(process.pid)
  let hash = 0
  for (let index = 0; index < 20_000_000; index++) hash = (hash * 31 + index) | 0
  const after = sampleProcess(process.pid)
  assert.ok(typeof before !== 'string' && typeof after !== 'string', `hash ${hash}`)
  assert.ok(after.residentBytes > 10 * 2 ** 20)
  assert.ok(cpuNsBetween(before, after) > 1e6)
})
