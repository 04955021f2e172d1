import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Progress, progressLine } from '../../../src/cli/load/progress.ts'

const EARLIER = { phase: 'warm-up', elapsedMs: 2_000, open: 100, answered: 10_000, errors: 0 }
const LATER = { phase: 'measuring', elapsedMs: 4_000, open: 99, answered: 34_000, errors: 3 }

test('progress: a rate since the line before', () => {
  assert.equal(
    progressLine(LATER, EARLIER),
    '   4s  measuring  99 connections  12,000 msg/s  34,000 answered  3 errors',
  )
  assert.match(progressLine(EARLIER, undefined), /5,000 msg\/s/)
})

test('progress: one line rewritten on a terminal, a line each elsewhere', () => {
  const outputs = [true, false].map((isTTY) => {
    const written: string[] = []
    const progress = new Progress({ write: (text: string) => written.push(text), isTTY })
    progress.show(EARLIER)
    progress.show(LATER)
    progress.end()
    return { written, everyMs: progress.everyMs }
  })
  const [terminal, file] = outputs
  assert.equal(terminal?.everyMs, 1_000)
  assert.equal(file?.everyMs, 5_000)
  assert.ok(terminal?.written.every((text) => text.startsWith('\r\x1b[2K') && !text.includes('\n')))
  assert.equal(terminal?.written.at(-1), '\r\x1b[2K')
  assert.equal(file?.written.length, 2)
  assert.ok(file?.written.every((text) => text.endsWith(' errors\n')))
})
