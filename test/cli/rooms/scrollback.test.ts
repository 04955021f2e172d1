import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RoomLine } from '../../../src/cli/rooms/room-line.ts'
import { inputWindow, Scrollback, wrap } from '../../../src/cli/rooms/scrollback.ts'

/** As terminals show it: characters beyond U+1100 take two columns here. */
const widthOf = (text: string): number =>
  [...text].reduce((sum, one) => sum + ((one.codePointAt(0) ?? 0) >= 0x1100 ? 2 : 1), 0)
const line = (text: string): RoomLine => [{ text, tone: 'plain' }]
const textsOf = (rows: readonly RoomLine[]): string[] => rows.map((row) => row.map(({ text }) => text).join(''))
const wrapped = (text: string, columns: number): string[] => textsOf(wrap(line(text), columns, widthOf))

test('scrollback: wraps between words, inside long ones, and at newlines', () => {
  assert.deepEqual(wrapped('one two three', 20), ['one two three'])
  assert.deepEqual(wrapped('one two three', 8), ['one two ', 'three'])
  assert.deepEqual(wrapped('one two three', 7), ['one two', 'three'])
  assert.deepEqual(wrapped('abcdefgh ij', 3), ['abc', 'def', 'gh ', 'ij'])
  assert.deepEqual(wrapped('a\n    b', 10), ['a', '    b'])
  assert.deepEqual(wrapped('', 10), [''])
  assert.deepEqual(wrapped('世界世界', 5), ['世界', '世界'])
  assert.deepEqual(wrapped('xy', 1), ['x', 'y'])
})

test('scrollback: a row keeps the tones of its line', () => {
  const rows = wrap(
    [
      { text: '[ada]', tone: 'own' },
      { text: ': hi you', tone: 'plain' },
    ],
    9,
    widthOf,
  )
  assert.deepEqual(rows, [
    [
      { text: '[ada]', tone: 'own' },
      { text: ': hi', tone: 'plain' },
    ],
    [{ text: 'you', tone: 'plain' }],
  ])
})

test('scrollback: shows the newest, scrolls between both ends, and stays where it is read', () => {
  const scrollback = new Scrollback(10, widthOf)
  for (let number = 1; number <= 5; number++) scrollback.add(line(`${number}`))
  assert.deepEqual(textsOf(scrollback.visible(2)), ['4', '5'])
  scrollback.scroll(1, 2)
  assert.deepEqual(textsOf(scrollback.visible(2)), ['3', '4'])
  scrollback.add(line('6 is wrapped'))
  assert.deepEqual(textsOf(scrollback.visible(2)), ['3', '4'])
  assert.equal(scrollback.below, 3)
  scrollback.scroll(100, 2)
  assert.deepEqual(textsOf(scrollback.visible(2)), ['1', '2'])
  scrollback.scroll(-100, 2)
  assert.deepEqual(textsOf(scrollback.visible(2)), ['6 is ', 'wrapped'])
  scrollback.resize(20)
  assert.deepEqual(textsOf(scrollback.visible(2)), ['5', '6 is wrapped'])
  assert.deepEqual(textsOf(scrollback.visible(100)).length, 6)
})

test('scrollback: forgets the oldest lines above its limit, with all their rows', () => {
  const scrollback = new Scrollback(4, widthOf, 3)
  for (const text of ['aaaa bbbb', 'c', 'd', 'e', 'f']) scrollback.add(line(text))
  assert.deepEqual(textsOf(scrollback.visible(100)), ['d', 'e', 'f'])
})

test('scrollback: who reads the oldest lines sees those that are left', () => {
  const scrollback = new Scrollback(10, widthOf, 3)
  for (const text of ['a', 'b', 'c']) scrollback.add(line(text))
  scrollback.scroll(1, 2)
  for (const text of ['d', 'e', 'f']) scrollback.add(line(text))
  assert.deepEqual(textsOf(scrollback.visible(2)), ['d', 'e'])
  scrollback.scroll(-1, 2)
  assert.deepEqual(textsOf(scrollback.visible(2)), ['e', 'f'])
})

test('input window: shows what is around the cursor', () => {
  assert.deepEqual(inputWindow('hello', 5, 10, widthOf), { shown: 'hello', column: 5 })
  assert.deepEqual(inputWindow('hello', 5, 5, widthOf), { shown: 'ello', column: 4 })
  assert.deepEqual(inputWindow('hello', 0, 3, widthOf), { shown: 'hello', column: 0 })
  assert.deepEqual(inputWindow('世界x', 2, 4, widthOf), { shown: '界x', column: 2 })
})
