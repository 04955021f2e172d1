import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HeadEnd } from '../../src/net/head-end.ts'

const EMPTY_LINE = '\r\n\r\n'

/** Where the text may be cut: behind each empty line, none of which overlaps another. */
function endsOf(text: string): number[] {
  const ends: number[] = []
  for (let at = text.indexOf(EMPTY_LINE); at !== -1; at = text.indexOf(EMPTY_LINE, at + EMPTY_LINE.length))
    ends.push(at + EMPTY_LINE.length)
  return ends
}

test('head end: finds every empty line, however the bytes are cut', () => {
  const text = fc
    .array(fc.constantFrom('\r', '\n', '\r\n', 'a', EMPTY_LINE), { maxLength: 40 })
    .map((all) => all.join(''))
  const cuts = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 40 })
  fc.assert(
    fc.property(text, cuts, (all, sizes) => {
      const bytes = Buffer.from(all)
      const found: number[] = []
      const headEnd = new HeadEnd()
      for (let at = 0, piece = 0; at < bytes.length; piece++) {
        const end = Math.min(bytes.length, at + (sizes[piece % sizes.length] ?? 1))
        while (at < end) {
          at = headEnd.find(bytes, at, end)
          if (at < end || bytes.subarray(0, at).toString().endsWith(EMPTY_LINE)) found.push(at)
        }
      }
      // An overlap such as CR LF CR LF CR LF ends once: what follows an end begins anew.
      assert.deepEqual(
        found.filter((end) => endsOf(all).includes(end)),
        endsOf(all),
      )
      assert.ok(found.every((end) => bytes.subarray(0, end).toString().endsWith(EMPTY_LINE)))
    }),
  )
})

test('head end: forgets half an empty line where something new begins', () => {
  const headEnd = new HeadEnd()
  headEnd.find(Buffer.from('\r\n\r'), 0, 3)
  headEnd.reset()
  assert.equal(headEnd.find(Buffer.from('\nab'), 0, 3), 3)
  assert.equal(headEnd.find(Buffer.from('\r\n\r\nab'), 0, 6), 4)
})
