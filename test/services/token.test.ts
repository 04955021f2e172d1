import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { SignJWT } from 'jose'
import { ManualClock } from '../../src/lib/clock.ts'
import { TOKEN_LENGTH_MAX, TokenVerifier } from '../../src/services/token.ts'

const SECRET = 'a secret of at least 32 bytes, really'
const clock = new ManualClock()
const seconds = (): number => clock.wallMs() / 1_000

function sign(claims: Readonly<Record<string, unknown>>, secret = SECRET, alg = 'HS256'): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg })
    .sign(Buffer.from(secret.padEnd(64, '.').slice(0, alg === 'HS256' ? secret.length : 64)))
}

/** A token without any library, so that it may be as wrong as can be. */
function forge(header: unknown, payload: unknown, secret = SECRET): string {
  const text = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

test('token: a good one says who it is for, again without another signature check', async () => {
  const verifier = new TokenVerifier({ secret: SECRET, clock })
  const token = await sign({ sub: '7', role: 'admin' })
  assert.equal(verifier.recall(token), undefined)
  assert.deepEqual({ ...(await verifier.verify(token)) }, { sub: '7', role: 'admin' })
  assert.deepEqual({ ...verifier.recall(token) }, { sub: '7', role: 'admin' })
})

test('token: exp and nbf hold with 5 s of leeway, also for one that is remembered', async () => {
  const verifier = new TokenVerifier({ secret: SECRET, clock })
  const token = await sign({ sub: '7', exp: seconds() + 10, nbf: seconds() + 5 })
  assert.ok((await verifier.verify(token)) !== undefined)
  const early = await sign({ sub: '7', nbf: seconds() + 6 })
  assert.equal(await verifier.verify(early), undefined)
  clock.advance(1_000)
  assert.ok((await verifier.verify(early)) !== undefined)
  clock.advance(13_500)
  assert.ok(verifier.recall(token) !== undefined, 'not yet over')
  clock.advance(1_000)
  assert.equal(verifier.recall(token), undefined)
  assert.equal(await verifier.verify(token), undefined)
  assert.equal(await new TokenVerifier({ secret: SECRET, clock }).verify(token), undefined)
})

test('token: token_type is access or absent, and exp can be demanded', async () => {
  const verifier = new TokenVerifier({ secret: SECRET, clock })
  assert.ok((await verifier.verify(await sign({ token_type: 'access' }))) !== undefined)
  for (const type of ['refresh', '', 1])
    assert.equal(await verifier.verify(await sign({ token_type: type })), undefined)
  const strict = new TokenVerifier({ secret: SECRET, clock, requireExp: true })
  assert.equal(await strict.verify(await sign({ sub: '1' })), undefined)
  assert.ok((await strict.verify(await sign({ sub: '1', exp: seconds() + 1 }))) !== undefined)
})

test('token: a claim that is null counts as absent', async () => {
  const verifier = new TokenVerifier({ secret: SECRET, clock })
  const nothing = { token_type: null, exp: null, nbf: null, iat: null, role: null }
  const token = forge({ alg: 'HS256' }, { sub: '7', ...nothing })
  assert.deepEqual(await verifier.verify(token), { sub: '7' })
  const strict = new TokenVerifier({ secret: SECRET, clock, requireExp: true })
  assert.equal(await strict.verify(token), undefined)
})

test('token: another secret, algorithm or form is refused', async () => {
  const verifier = new TokenVerifier({ secret: SECRET, clock })
  const good = await sign({ sub: '1' })
  const [header = '', payload = '', signature = ''] = good.split('.')
  const none = Buffer.from('{"alg":"none"}').toString('base64url')
  for (const token of [
    await sign({ sub: '1' }, 'another secret of at least 32 bytes'),
    await sign({ sub: '1' }, SECRET, 'HS512'),
    `${none}.${payload}.`,
    `${none}.${payload}.${signature}`,
    `${header}.${payload}.`,
    `${header}.${payload}`,
    `${header}.${Buffer.from('{"sub":"2"}').toString('base64url')}.${signature}`,
    forge({ alg: 'none' }, { sub: '1' }),
    forge({ alg: 'HS256', crit: ['x'], x: 1 }, { sub: '1' }),
    forge({ alg: 'HS256', crit: ['b64'], b64: false }, { sub: '1' }),
    forge({ alg: 'HS256' }, 'text'),
    forge({ alg: 'HS256' }, []),
    forge({ alg: 'HS256' }, null),
    forge({ alg: 'HS256' }, { sub: '1', exp: '9999999999' }),
    forge({ alg: 'HS256' }, { sub: '1', pad: 'x'.repeat(TOKEN_LENGTH_MAX) }),
    '',
    'x',
    '..',
  ])
    assert.equal(await verifier.verify(token), undefined, token.slice(0, 100))
  assert.ok((await verifier.verify(forge({ alg: 'HS256' }, { sub: '1' }))) !== undefined, 'the forger knows how')
})

test('token: without a secret of 32 bytes every token is refused', async () => {
  const short = 'x'.repeat(31)
  for (const secret of [undefined, '', short]) {
    const verifier = new TokenVerifier({ secret, clock })
    assert.equal(await verifier.verify(forge({ alg: 'HS256' }, { sub: '1' }, secret ?? '')), undefined)
  }
  const enough = `${short}x`
  assert.ok(
    (await new TokenVerifier({ secret: enough, clock }).verify(forge({ alg: 'HS256' }, {}, enough))) !== undefined,
  )
})

test('token: so many are remembered, and the oldest goes first', async () => {
  const verifier = new TokenVerifier({ secret: SECRET, clock })
  const tokens = Array.from({ length: 4_097 }, (_, index) => forge({ alg: 'HS256' }, { sub: `${index}` }))
  for (const token of tokens) await verifier.verify(token)
  assert.deepEqual([verifier.recall(tokens[0] ?? ''), verifier.recall(tokens[1] ?? '')?.sub], [undefined, '1'])
})
