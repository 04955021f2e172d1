// The tests of the Python client are its own, beside it; here they run with ours.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { requirePython } from '../harness/python.ts'

const TESTS_MS_MAX = 60_000

test('client in Python: its own tests pass', () => {
  const { path, environment } = requirePython()
  const { status, stderr } = spawnSync(path, ['-m', 'unittest', 'discover', '-s', 'tests', '-t', '.'], {
    cwd: join(import.meta.dirname, '../../clients/python'),
    env: { PATH: process.env.PATH, ...environment },
    encoding: 'utf8',
    timeout: TESTS_MS_MAX,
  })
  assert.equal(status, 0, stderr)
  const [, count = '0'] = /^Ran (\d+) tests/m.exec(stderr) ?? []
  assert.ok(Number(count) > 30, stderr)
})
