import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ageText, barText, bytesText, countText, secondsText, shareText } from '../../src/cli/figure-text.ts'
import { StatusLine } from '../../src/cli/status-line.ts'

test('figure text: two or three digits, with the unit that needs no more', () => {
  const rows: readonly (readonly [string, string])[] = [
    ...([0, 0.4e-6, 12e-6, 999.4e-6, 999.6e-6, 9.94e-3, 9.96e-3, 0.9994, 0.9996, 12.3] as const).map(
      (seconds) => [String(seconds), secondsText(seconds)] as const,
    ),
    ...([0, 999, 1_000, 1_536, 999 * 1_024, 24 * 1_024 ** 2, 3 * 1_024 ** 3, 5_000 * 1_024 ** 4] as const).map(
      (bytes) => [String(bytes), bytesText(bytes)] as const,
    ),
  ]
  assert.deepEqual(
    rows.map(([, text]) => text),
    [
      ...['0', '1 µs', '12 µs', '999 µs', '1.0 ms', '9.9 ms', '10 ms', '999 ms', '1.0 s', '12 s'],
      ...['0 B', '999 B', '1.0 KiB', '1.5 KiB', '999 KiB', '24 MiB', '3.0 GiB', '5000 TiB'],
    ],
  )
  assert.deepEqual([countText(0), countText(1_234_567.4)], ['0', '1,234,567'])
  assert.deepEqual([-1, 0, 0.005, 0.5, 1, 7].map(shareText), ['0%', '0%', '1%', '50%', '100%', '100%'])
  assert.deepEqual([0, 59.9, 60, 3_599, 3_600, 86_399, 90_000].map(ageText), [
    ...['0 s', '59 s', '1 min 00 s', '59 min 59 s', '1 h 00 min', '23 h 59 min', '1 d 01 h'],
  ])
})

test('figure text: a bar is always as wide as asked for', () => {
  assert.deepEqual(
    [0, 0.05, 0.5, 0.99, 1, 2].map((share) => barText(share, 4)),
    ['····', '▎···', '██··', '████', '████', '████'],
  )
})

test('status line: rewrites itself on a terminal, elsewhere appends once a second and only news', () => {
  const written: string[] = []
  const sink = { isTTY: true, write: (text: string) => written.push(text) }
  const live = new StatusLine(sink)
  live.show('a')
  live.end()
  live.end()
  assert.deepEqual(written.splice(0), ['\r\x1b[2Ka', '\r\x1b[2K'])
  let nowMs = 0
  const plain = new StatusLine({ ...sink, isTTY: false }, () => nowMs)
  for (const [atMs, text] of [
    [0, 'a'],
    [500, 'b'],
    [1_000, 'a'],
    [1_500, 'c'],
  ] as const) {
    nowMs = atMs
    plain.show(text)
  }
  plain.end()
  assert.deepEqual(written, ['a\n', 'c\n'])
})
