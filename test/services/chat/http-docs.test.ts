// The OpenAPI document says what is served, and its page needs no other host.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ROUTES } from '../../../src/services/chat/http-route.ts'
import { type HttpWorld, startHttpWorld } from './http-world.ts'

interface Media {
  readonly schema: unknown
  readonly example?: unknown
  readonly examples?: object
}
interface Answer {
  readonly description: string
  readonly content?: Readonly<Record<string, Media>>
}
interface Described {
  readonly operationId: string
  readonly summary: string
  readonly security?: unknown
  readonly parameters?: readonly { readonly name: string; readonly in: string }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> }
  readonly responses: Readonly<Record<string, Answer>>
}
interface Document {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> }
}

async function documentOf(world: HttpWorld): Promise<Document> {
  return (await world.get('/openapi.json')).json<Document>()
}

test('http docs: the document has every route with its parameters, bodies, answers and examples', async () => {
  const { openapi, paths } = await documentOf(await startHttpWorld())
  assert.equal(openapi, '3.1.0')
  const told = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  assert.deepEqual(
    told.toSorted(),
    ROUTES.map(({ method, url }) => `${method} ${url.replace(':id', '{id}')}`).toSorted(),
  )
  for (const { method, url, body, querystring, response } of ROUTES) {
    const described = paths[url.replace(':id', '{id}')]?.[method.toLowerCase()]
    assert.ok(described, url)
    assert.ok(described.summary.length > 0)
    const names = (described.parameters ?? []).map((one) => `${one.in} ${one.name}`)
    const query = querystring === undefined ? [] : ['query page', 'query per_page']
    assert.deepEqual(names, [...query, ...(url.includes(':id') ? ['path id'] : [])], url)
    assert.deepEqual(Object.keys(described.responses), Object.keys(response))
    for (const [status, { content, description }] of Object.entries(described.responses)) {
      const media = content?.['application/json']
      assert.ok(media !== undefined && description.length > 0, `${url} ${status}`)
      const hasExample = media.example !== undefined || media.examples !== undefined
      assert.ok(hasExample || url === '/health' || url === '/ready', `${url} ${status} has an example`)
    }
    const media = described.requestBody?.content['application/json']
    assert.equal(media?.example !== undefined, body !== undefined)
  }
})

test('http docs: every reference of the document resolves', async () => {
  const document = await documentOf(await startHttpWorld())
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, target = '']) => target)
  assert.ok(references.length > 10)
  const names = Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`)
  for (const target of references) assert.ok(names.includes(target), target)
  assert.deepEqual(names.map((name) => name.split('/').at(-1)).toSorted(), [
    'Chat',
    'Failure',
    'Message',
    'Present',
    'Typist',
  ])
})

test('http docs: examples of answers are what is answered', async () => {
  const world = await startHttpWorld()
  const { paths } = await documentOf(world)
  const shapeOf = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf)
    if (typeof value !== 'object' || value === null) return typeof value
    return Object.entries(value).map(([name, member]) => [name, shapeOf(member)])
  }
  const exampleOf = (path: string, method: string, status: number): unknown =>
    paths[path]?.[method]?.responses[status]?.content?.['application/json']?.example
  const sent = paths['/api/chats/{id}/messages']?.post?.requestBody?.content['application/json']?.example
  const created = await world.post('/api/chats/1/messages', sent)
  assert.deepEqual(shapeOf(created.json()), shapeOf(exampleOf('/api/chats/{id}/messages', 'post', 201)))
  await world.status(1, 'online')
  await world.typing(1, 1)
  for (const path of [
    '/api/chats',
    '/api/chats/{id}',
    '/api/chats/{id}/messages',
    '/api/chats/{id}/typing',
    '/api/presence',
  ]) {
    const answer = await world.get(path.replace('{id}', '1'))
    assert.deepEqual(shapeOf(answer.json()), shapeOf(exampleOf(path, 'get', 200)), path)
  }
})

test('http docs: with jwt the document says which routes need a token', async () => {
  const { paths } = await documentOf(await startHttpWorld({ auth: 'jwt' }))
  assert.deepEqual(paths['/api/chats']?.get?.security, [{ token: [] }])
  assert.equal(paths['/health']?.get?.security, undefined)
})

test('http docs: the page and its parts come from here, and may load nothing else', async () => {
  const world = await startHttpWorld()
  const page = await world.get('/docs')
  assert.equal(page.statusCode, 200)
  assert.match(String(page.headers['content-type']), /^text\/html/)
  const policy = String(page.headers['content-security-policy'])
  assert.match(policy, /^default-src 'self';/)
  assert.doesNotMatch(policy, /https?:|validator|\*/)
  const parts = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, target = '']) => target)
  assert.ok(parts.length >= 5)
  for (const part of [...parts, '/docs/json', '/docs/static/swagger-initializer.js']) {
    assert.match(part, /^\/docs\//)
    assert.equal((await world.get(part)).statusCode, 200, part)
  }
  const initializer = await world.get('/docs/static/swagger-initializer.js')
  assert.match(initializer.body, /validatorUrl: null/)
  assert.equal((await world.get('/docs/static/nothing.js')).statusCode, 404)
  assert.equal((await world.get('/docs/static/..%2f..%2fpackage.json')).statusCode, 404)
  assert.equal((await world.request({ method: 'HEAD', url: '/docs' })).body, '')
  assert.equal(await world.counted('HEAD', '/docs', '200'), 1)
})
