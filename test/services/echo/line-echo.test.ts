import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LINE_BYTES_MAX, LineEcho, type LineOutput } from '../../../src/services/echo/line-echo.ts'

class Collected implements LineOutput {
  readonly parts: Buffer[] = []
  blockAfter = Number.POSITIVE_INFINITY

  write(bytes: Uint8Array, start = 0, end = bytes.byteLength): void {
    this.parts.push(Buffer.from(bytes.subarray(start, end)))
  }

  get blocked(): boolean {
    return this.parts.length >= this.blockAfter
  }

  get text(): string {
    return Buffer.concat(this.parts).toString('latin1')
  }
}

/** The same, written down without any cleverness. */
function expected(input: string): string {
  const lines = input.split('\n')
  const last = lines.pop() ?? ''
  if (last !== '') lines.push(last)
  return lines
    .flatMap((line) => (line === '' ? [''] : (line.match(new RegExp(`[^\\n]{1,${LINE_BYTES_MAX}}`, 'g')) ?? [])))
    .map((line) => `[Conn 7] ${line}\n`)
    .join('')
}

test('line echo: lines, empty lines, carriage returns and a last line without an end', () => {
  for (const [input, wanted] of [
    ['a\nb\n', '[Conn 7] a\n[Conn 7] b\n'],
    ['\n', '[Conn 7] \n'],
    ['hello\r\n', '[Conn 7] hello\r\n'],
    ['tail', '[Conn 7] tail\n'],
    ['', ''],
  ] as const) {
    const output = new Collected()
    const lines = new LineEcho(7)
    assert.equal(lines.push(Buffer.from(input), output), input.length)
    lines.end(output)
    assert.equal(output.text, wanted)
  }
})

for (const bytes of [LINE_BYTES_MAX - 1, LINE_BYTES_MAX, LINE_BYTES_MAX + 1, 2 * LINE_BYTES_MAX]) {
  test(`line echo: a line of ${bytes} bytes`, () => {
    const input = `${'x'.repeat(bytes)}\n`
    for (const step of [input.length, 1000]) {
      const output = new Collected()
      const lines = new LineEcho(7)
      for (let at = 0; at < input.length; at += step) lines.push(Buffer.from(input.slice(at, at + step)), output)
      assert.equal(output.text, expected(input))
    }
  })
}

test('line echo: however the stream is cut, and however often the output is blocked, the echo is the same', () => {
  fc.assert(
    fc.property(
      fc.array(fc.stringMatching(/^[ab\r\n]{0,40}$/), { maxLength: 20 }),
      fc.integer({ min: 1, max: 9 }),
      (pieces, allowance) => {
        const output = new Collected()
        const lines = new LineEcho(7)
        for (const piece of pieces) {
          let rest = Buffer.from(piece)
          while (rest.length > 0) {
            output.blockAfter = output.parts.length + allowance
            rest = rest.subarray(lines.push(rest, output))
          }
        }
        lines.end(output)
        assert.equal(output.text, expected(pieces.join('')))
      },
    ),
  )
})
