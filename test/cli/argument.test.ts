import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { normalizeArguments } from '../../src/cli/argument.ts'

const COMMANDS = ['load-test', 'echo-client', 'config']

function normal(line: string): string {
  return normalizeArguments(line.split(' '), COMMANDS).join(' ')
}

test('arguments: - and _ are interchangeable in command and option names', () => {
  assert.equal(normal('load_test --drain_timeout 3'), 'load-test --drain-timeout 3')
  assert.equal(normal('load-test --ws_host=a_b'), 'load-test --ws-host=a_b')
  assert.equal(normal('--help load_test'), '--help load-test')
})

test('arguments: --k=v and --k==v are equal', () => {
  assert.equal(normal('rooms --save_directory==DIR'), 'rooms --save-directory=DIR')
  assert.equal(normal('rooms --k===v'), 'rooms --k==v')
  assert.equal(normal('rooms --k='), 'rooms --k=')
  assert.equal(normal('rooms --set=a_b==c'), 'rooms --set=a_b==c')
})

test('arguments: values, later operands and unknown commands stay as they are', () => {
  assert.equal(normal('config load_test'), 'config load_test')
  assert.equal(normal('load_tset a_b'), 'load_tset a_b')
  assert.equal(normal('config -u a_b -x=y'), 'config -u a_b -x=y')
  assert.equal(normal('config --text a_b=c'), 'config --text a_b=c')
})

test('arguments: after -- nothing is touched', () => {
  assert.equal(normal('config -- --a_b==c load_test'), 'config -- --a_b==c load_test')
  assert.equal(normal('-- load_test'), '-- load_test')
  assert.deepEqual(normalizeArguments([], COMMANDS), [])
})

test('arguments: normalizing keeps their number, and spellings of one name meet', () => {
  const word = fc.stringMatching(/^[a-z]{1,4}([-_][a-z]{1,4}){0,2}$/)
  fc.assert(fc.property(fc.array(fc.string()), (given) => normalizeArguments(given, COMMANDS).length === given.length))
  fc.assert(
    fc.property(word, fc.string(), (name, value) => {
      const of = (argument: string): string[] => normalizeArguments(['config', argument], COMMANDS)
      // A value that starts with = can only be written with ==.
      if (!value.startsWith('=')) assert.deepEqual(of(`--${name}=${value}`), of(`--${name}==${value}`))
      assert.deepEqual(of(`--${name.replaceAll('_', '-')}=${value}`), of(`--${name.replaceAll('-', '_')}=${value}`))
    }),
  )
})
