import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ResponseSplitter } from '../../../src/cli/load/http-response.ts'

interface Outcome {
  readonly statuses: number[]
  readonly problem: string | undefined
  readonly idle: boolean
}

/** Feeds `text` in pieces that end at `cuts`, always through the same buffer, as a socket does. */
function split(text: string, cuts: readonly number[] = []): Outcome {
  const statuses: number[] = []
  const splitter = new ResponseSplitter({ responded: (status) => statuses.push(status) })
  // Older bytes that look like the end of a head.
  const shared = Buffer.alloc(100_000, '\r\n')
  let problem: string | undefined
  let from = 0
  for (const cut of [...cuts, text.length].toSorted((a, b) => a - b)) {
    problem ??= splitter.push(shared, shared.write(text.slice(from, cut), 'latin1'))
    from = Math.max(from, cut)
  }
  return { statuses, problem, idle: splitter.idle }
}

const sized = (status: number, body: string): string =>
  `HTTP/1.1 ${status} Some words\r\nX: y\r\nContent-Length: ${body.length}\r\n\r\n${body}`
const chunked = (status: number, chunks: readonly string[], trailer = ''): string =>
  `HTTP/1.1 ${status} \r\nTransfer-Encoding: chunked\r\n\r\n${chunks
    .map((chunk, index) => `${chunk.length.toString(16)}${index % 2 === 0 ? '' : ';a="b"'}\r\n${chunk}\r\n`)
    .join('')}0\r\n${trailer}\r\n`
const bare = (status: number): string => `HTTP/1.1 ${status} x\r\nServer: y\r\n\r\n`

test('http response: the same responses, however the stream is cut', () => {
  const body = fc.string({ unit: fc.constantFrom('a', '\r', '\n', '0'), maxLength: 30 })
  const full = body.filter((text) => text !== '')
  const status = fc.integer({ min: 200, max: 599 }).filter((code) => code !== 204 && code !== 304)
  const response = fc.oneof(
    fc.tuple(status, body).map(([code, text]) => ({ code, text: sized(code, text) })),
    fc
      .tuple(status, fc.array(full, { maxLength: 4 }), fc.constantFrom('', 'Checksum: 1\r\n', 'A: b\r\nC: d\r\n'))
      .map(([code, chunks, trailer]) => ({ code, text: chunked(code, chunks, trailer) })),
    fc.constantFrom(204, 304).map((code) => ({ code, text: bare(code) })),
    status.map((code) => ({ code, text: bare(100) + sized(code, 'after an interim one') })),
  )
  fc.assert(
    fc.property(fc.array(response, { maxLength: 6 }), fc.array(fc.nat(600), { maxLength: 12 }), (responses, cuts) => {
      const text = responses.map((one) => one.text).join('')
      const outcome = split(
        text,
        cuts.map((cut) => Math.min(cut, text.length)),
      )
      assert.deepEqual(outcome, { statuses: responses.map(({ code }) => code), problem: undefined, idle: true })
    }),
  )
  const every = sized(200, 'abc') + chunked(201, ['x', 'yz'], 'A: b\r\n')
  assert.deepEqual(
    split(
      every,
      every.split('').map((_, index) => index),
    ).statuses,
    [200, 201],
  )
})

test('http response: one that is cut off is not counted, and is not idle', () => {
  for (const text of [sized(200, 'abc'), chunked(200, ['abc', 'd'], 'A: b\r\n')]) {
    for (let length = 1; length < text.length; length++) {
      assert.deepEqual(split(text.slice(0, length)), { statuses: [], problem: undefined, idle: false }, `${length}`)
    }
  }
})

test('http response: what cannot be followed is a problem', () => {
  assert.equal(split('SSH-2.0-x\r\n\r\n').problem, 'not HTTP')
  assert.equal(split('HTTP/2 200 \r\nContent-Length: 0\r\n\r\n').problem, 'not HTTP')
  assert.equal(split('HTTP/1.1 200 OK\r\n\r\nbody').problem, 'a body without a length')
  assert.equal(split('HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n').problem, 'a body without a length')
  assert.equal(split(`HTTP/1.1 200 OK\r\nA: ${'x'.repeat(17_000)}`).problem, 'an endless head')
  const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
  for (const size of ['g\r\n', '\r\n', '123456789\r\n', ';a\r\n']) {
    assert.equal(split(head + size).problem, 'a wrong chunk size', size)
  }
})
