import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { pathSegmentsOf, queryValueOf, type RequestTarget, requestTargetOf } from '../../src/net/head.ts'

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1')

function scan(text: string): RequestTarget {
  // Inside a larger buffer: neither what is before nor what is behind counts.
  const bytes = bytesOf(`GET ${text}\r\n`)
  return requestTargetOf(bytes, 4, 4 + text.length)
}

// What may stand in a target, and Latin-1 characters, which Node refuses there but the URL functions know.
const targetUnit = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...'/?&=+%#abAB09.-_~;:@!$\'"<>[]{}|\\^`') },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      '%41',
      '%2f',
      '%2B',
      '%26',
      '%3D',
      '%25',
      '%c3%a9',
      '%F0%9F%98%80',
      '%e2%82',
      '%ff',
      '%EF%BB%BF',
      '%00',
      '%zz',
      '%4',
    ),
  },
  { weight: 2, arbitrary: fc.constantFrom('é', 'ÿ', '\u0080', '\u00a0', 'Ã', '©') },
  { weight: 2, arbitrary: fc.constantFrom('session', 'session=', '&session=', '?session=', 's%65ssion=x') },
)
const anyTarget = fc.array(targetUnit, { maxLength: 25, size: 'max' }).map((units) => `/${units.join('')}`)

const target = anyTarget.map((target) => target.replace(/[\u0080-\u00ff]/g, 'x'))

test('head: the target of a request line', () => {
  for (const [line, target] of [
    ['GET / HTTP/1.1\r\n', '/'],
    ['GET /ws?session=1 HTTP/1.1\r\nHost: x\r\n', '/ws?session=1'],
    ['POST /chat/1/messages HTTP/1.0\r\n', '/chat/1/messages'],
    ['\r\n\r\nGET /x HTTP/1.1\r\n', '/x'],
    ['M-SEARCH * HTTP/1.1\r\n', '*'],
    ['GET http://host/p HTTP/1.1\r\n', 'http://host/p'],
  ] as const) {
    assert.deepEqual(scan(line), { state: 'target', target })
  }
})

test('head: what cannot become a request line is none at once', () => {
  for (const text of [
    'g',
    '{',
    '\0',
    '\x16\x03\x01',
    ' GET',
    'GET  /',
    'GET /\x7f',
    'GET /\t',
    'GET /\x80',
    'GET /\r\n',
    'GET / HTTP/2',
    'GET / HTTP/1.2',
    'GET / http',
    'GET / HTTP/1.1\n',
    'GET / HTTP/1.1\rx',
    'GET / HTTP/1.1 ',
    'G3T',
    'GET\r\n',
    'GET\t/',
    'A'.repeat(21),
  ]) {
    assert.deepEqual(scan(text), { state: 'none' }, JSON.stringify(text))
  }
})

test('head: every prefix of a request line says more, and what follows changes nothing', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('GET', 'OPTIONS', 'M-SEARCH'),
      target,
      fc.constantFrom('', '\r\n', '\r\n\r\n'),
      (method, target, lead) => {
        const line = `${lead}${method} ${target} HTTP/1.1\r\n`
        for (let length = 0; length < line.length; length++) {
          assert.deepEqual(scan(line.slice(0, length)), { state: 'more' }, line.slice(0, length))
        }
        assert.deepEqual(scan(line), { state: 'target', target })
        assert.deepEqual(scan(`${line}\0rest`), { state: 'target', target })
      },
    ),
  )
})

test('head: random bytes never throw, and none stays none', () => {
  const line = fc.array(
    fc.oneof(
      fc.constantFrom('GET ', '/', ' HTTP/1.1', '\r', '\n', '?'),
      fc.string({ unit: 'binary-ascii', maxLength: 3 }),
    ),
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 64 }),
        line.map((parts) => bytesOf(parts.join(''))),
      ),
      (bytes) => {
        const states: string[] = []
        for (let end = 0; end <= bytes.length; end++) states.push(requestTargetOf(bytes, 0, end).state)
        const decided = states.findIndex((state) => state !== 'more')
        if (decided !== -1) assert.deepEqual(new Set(states.slice(decided)).size, 1)
      },
    ),
    { numRuns: 2000 },
  )
})

test('head: Node reads the same target from the same bytes', async () => {
  const urls: (string | undefined)[] = []
  const server = createServer((request, response) => {
    urls.push(request.url)
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const port = (server.address() as AddressInfo).port
  const lines = [
    'GET /a?b=%20c HTTP/1.1',
    '\r\n\r\nGET /crlf HTTP/1.1',
    'GET /%%"<>|{}` HTTP/1.1',
    'OPTIONS * HTTP/1.1',
    'GET /old HTTP/1.0',
  ]
  for (const line of lines) {
    const socket = connect(port, '127.0.0.1')
    socket.resume()
    socket.end(bytesOf(`${line}\r\nHost: x\r\nConnection: close\r\n\r\n`))
    await new Promise((resolve) => socket.once('close', resolve))
  }
  server.close()
  assert.deepEqual(
    urls,
    lines.map((line) => {
      const found = scan(`${line}\r\n`)
      return found.state === 'target' ? found.target : found.state
    }),
  )
})

test('head: queryValueOf agrees with URLSearchParams', () => {
  let found = 0
  fc.assert(
    fc.property(
      anyTarget,
      fc.oneof(fc.constantFrom('session', '', 'a', 'é', 'A+b', '%41', ' '), fc.string({ maxLength: 3 })),
      (target, name) => {
        const url = URL.parse(target, 'http://x')
        fc.pre(url !== null)
        const expected = url?.searchParams.get(name) ?? undefined
        assert.equal(queryValueOf(target, name), expected)
        if (expected !== undefined) found++
      },
    ),
    { numRuns: 10_000 },
  )
  assert.ok(found > 100, `the generator hits: ${found}`)
})

test('head: queryValueOf by name', () => {
  for (const [target, value] of [
    ['/ws', undefined],
    ['/ws?', undefined],
    ['/ws?session', ''],
    ['/ws?session=', ''],
    ['/ws?session=a&session=b', 'a'],
    ['/ws?x=1&session=a=b', 'a=b'],
    ['/ws?session=a#session=b', 'a'],
    ['/ws#?session=a', undefined],
    ['/ws?session=a?b', 'a?b'],
    ['/ws?sess%69on=%F0%9F%98%80+x', '😀 x'],
    ['/ws?session=%', '%'],
    ['/ws?session=%E2%82', '\ufffd'],
  ] as const) {
    assert.equal(queryValueOf(target, 'session'), value, target)
  }
})

test('head: pathSegmentsOf decodes, and knows what is ill-formed', () => {
  for (const [target, segments] of [
    ['/', ['']],
    ['/a/b%2Fc?x=%zz', ['a', 'b/c']],
    ['/agent/ws/session%3A1', ['agent', 'ws', 'session:1']],
    ['/a//b/', ['a', '', 'b', '']],
    ['/a/../b', ['a', '..', 'b']],
    ['/+%2B', ['++']],
    ['/a#b', ['a']],
    ['/%', undefined],
    ['/%zz', undefined],
    ['/%ff', undefined],
    ['/%ed%a0%80', undefined],
    ['*', undefined],
    ['', undefined],
    ['http://x/a', undefined],
  ] as const) {
    assert.deepEqual(pathSegmentsOf(target), segments, target)
  }
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1 }), (segments) => {
      assert.deepEqual(pathSegmentsOf(`/${segments.map(encodeURIComponent).join('/')}?q`), segments)
    }),
  )
  fc.assert(fc.property(fc.oneof(anyTarget, fc.string()), (target) => void pathSegmentsOf(target)))
})
