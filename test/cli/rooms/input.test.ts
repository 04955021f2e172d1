import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Intent, parseInput, TEXT_BYTES_MAX } from '../../../src/cli/rooms/input.ts'
import { MESSAGE_TYPE } from '../../../src/services/rooms/descriptor.ts'

const text = (said: string, to?: string): Intent => ({ kind: 'text', text: said, to })

test('input: lines that are said', () => {
  assert.deepEqual(parseInput('hello'), text('hello'))
  assert.deepEqual(parseInput('  hello '), text('  hello '))
  assert.deepEqual(parseInput('/etc/hosts is short'), text('/etc/hosts is short'))
  assert.deepEqual(parseInput('/'), text('/'))
  assert.deepEqual(parseInput('x'.repeat(TEXT_BYTES_MAX)), text('x'.repeat(TEXT_BYTES_MAX)))
  assert.deepEqual(parseInput('/msg bob  two  words'), text('two  words', 'bob'))
  assert.deepEqual(parseInput(' \t'), { kind: 'nothing' })
})

test('input: files, with spaces in their paths', () => {
  assert.deepEqual(parseInput('/file /a b/c.txt '), { kind: 'file', type: MESSAGE_TYPE.file, path: '/a b/c.txt' })
  assert.deepEqual(parseInput('/image /i.png'), { kind: 'file', type: MESSAGE_TYPE.image, path: '/i.png' })
  assert.deepEqual(parseInput('/voice /v.ogg'), { kind: 'file', type: MESSAGE_TYPE.voice, path: '/v.ogg' })
})

test('input: commands that are none, or incomplete', () => {
  const wrong = [
    '/fiel /x',
    '/File /x',
    '/FILE',
    '/msg2 bob hi',
    '/send-file /x',
    '/constructor x',
    '/file',
    '/msg',
    '/msg bob',
    `/msg ${'b'.repeat(33)} hi`,
  ]
  for (const line of [...wrong, 'ä'.repeat(TEXT_BYTES_MAX / 2 + 1)])
    assert.equal(parseInput(line).kind, 'problem', line)
})
