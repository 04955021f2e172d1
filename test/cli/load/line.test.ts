import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LineSplitter } from '../../../src/cli/load/line.ts'

const SIZE = 20

/** Feeds `text` in pieces that end at `cuts`, always through the same buffer, as a socket does. */
function linesOf(text: string, cuts: readonly number[], prefixed: boolean): string[] {
  const lines: string[] = []
  const splitter = new LineSplitter(SIZE, prefixed, {
    received: (bytes, start, end) => lines.push(bytes.toString('latin1', start, end)),
    garbled: () => lines.push('GARBLED'),
  })
  const shared = Buffer.alloc(1_000, 10)
  let from = 0
  for (const cut of [...cuts, text.length].toSorted((a, b) => a - b)) {
    splitter.push(shared, shared.write(text.slice(from, cut), 'latin1'))
    from = Math.max(from, cut)
  }
  return lines
}

test('line: the same lines, however the stream is cut', () => {
  const line = fc.string({ unit: fc.constantFrom('a', 'b', ' ', ']'), maxLength: SIZE })
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), fc.array(fc.nat(200), { maxLength: 8 }), (lines, cuts) => {
      const raw = lines.map((text) => `${text}\n`).join('')
      assert.deepEqual(
        linesOf(
          raw,
          cuts.map((cut) => Math.min(cut, raw.length)),
          false,
        ),
        lines,
      )
      const prefixed = lines.map((text) => `[Conn 12] ${text}\n`).join('')
      assert.deepEqual(
        linesOf(
          prefixed,
          cuts.map((cut) => Math.min(cut, prefixed.length)),
          true,
        ),
        lines,
      )
    }),
  )
})

test('line: a missing prefix, and one of another connection, are garbled', () => {
  const text = '[Conn 1] a\nb\n[Conn 2] c\n[Conn 1]d\n[Conn ] e\n[Conn 1] f\n'
  assert.deepEqual(linesOf(text, [], true), ['a', 'GARBLED', 'GARBLED', 'GARBLED', 'GARBLED', 'f'])
})

test('line: an endless line is garbled once, and the next one is read', () => {
  const text = `${'x'.repeat(200)}\nok\n`
  assert.deepEqual(linesOf(text, [10, 60, 90, 150], false), ['GARBLED', 'ok'])
  assert.deepEqual(linesOf(text, [10, 202], false), ['GARBLED', 'ok'])
})
