// The description of the WebSocket: a document that holds together, whose requests are those that the hub takes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Ajv, type ValidateFunction } from 'ajv'
import * as ajvFormats from 'ajv-formats'
import fc from 'fast-check'
import { parse } from 'yaml'
import { AsyncApiText, asyncApiOf, messagesOf } from '../../../src/services/hub/asyncapi.ts'
import { DEFAULT_CHANNELS } from '../../../src/services/hub/config.ts'
import { FRAME_MESSAGES, REQUEST_MESSAGES, type RequestType } from '../../../src/services/hub/message-schema.ts'
import { RATED } from '../../../src/services/hub/rate-limit.ts'
import {
  broadcastOf,
  channelsOf,
  idJson,
  type Members,
  membersOf,
  NO_OPTIONS,
  optionsOf,
  positionsOf,
} from '../../../src/services/hub/request.ts'
import { FRAME_TYPES } from '../../../src/services/hub/text.ts'

const CONFIG = { channels: [...DEFAULT_CHANNELS], tokenTtl: 300_000 }
const PLACE = { host: 'hub.example:8000', isSecure: false }
const RUNS = 2_000

const ajv = new Ajv({ strict: true, allowUnionTypes: true })
ajvFormats.default.default(ajv)

interface Reference {
  readonly $ref: string
}
interface Operation {
  readonly action: string
  readonly channel: Reference
  readonly messages: readonly Reference[]
  readonly reply?: { readonly channel: Reference; readonly messages: readonly Reference[] }
}
interface Document {
  readonly asyncapi: string
  readonly info: { readonly title: string; readonly version: string }
  readonly servers: Readonly<
    Record<string, { readonly host: string; readonly protocol: string; readonly pathname: string }>
  >
  readonly channels: Readonly<
    Record<string, { readonly address: string; readonly messages: Readonly<Record<string, Reference>> }>
  >
  readonly operations: Readonly<Record<string, Operation>>
  readonly components: {
    readonly messages: Readonly<Record<string, { readonly name: string; readonly payload: object }>>
  }
}

const document = parse(new AsyncApiText(CONFIG).at(PLACE)) as Document

/** What a reference of the document names. */
function resolve(reference: string): unknown {
  assert.match(reference, /^#\//)
  let value: unknown = document
  for (const part of reference.slice(2).split('/'))
    value = (value as Readonly<Record<string, unknown>> | undefined)?.[part]
  return value
}

test('asyncapi: the text is the document, at the place of who asks', () => {
  assert.deepEqual(document, JSON.parse(JSON.stringify(asyncApiOf(CONFIG, PLACE))))
  const text = new AsyncApiText(CONFIG)
  const serverOf = (host: string, isSecure: boolean): object =>
    (parse(text.at({ host, isSecure })) as Document).servers.hub ?? {}
  assert.deepEqual(Object.entries(serverOf('[::1]:9', true)).slice(0, 3), [
    ['host', '[::1]:9'],
    ['pathname', '/ws'],
    ['protocol', 'wss'],
  ])
  for (const host of ['', 'a: b', 'x\ny: 1', '"', '$&'])
    assert.equal((serverOf(host, false) as { host: string }).host, 'localhost')
})

test('asyncapi: version 3, every reference resolves, and operations name messages of their channel', () => {
  assert.equal(document.asyncapi, '3.0.0')
  assert.ok(document.info.title !== '' && /^\d+\.\d+\.\d+$/.test(document.info.version))
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference = '']) => reference)
  assert.ok(references.length > 50)
  for (const reference of references) assert.notEqual(resolve(reference), undefined, reference)
  const { hub } = document.channels
  assert.equal(hub?.address, '/ws')
  const used = new Set<string>()
  for (const [name, { action, channel, messages, reply }] of Object.entries(document.operations)) {
    assert.match(action, /^(send|receive)$/, name)
    assert.equal(resolve(channel.$ref), hub)
    for (const { $ref } of [...messages, ...(reply?.messages ?? [])]) {
      assert.match($ref, /^#\/channels\/hub\/messages\//)
      used.add($ref.split('/').at(-1) ?? '')
    }
  }
  // Nothing is described that nobody says.
  assert.deepEqual([...used].toSorted(), Object.keys(document.components.messages).toSorted())
  assert.deepEqual([...used].toSorted(), Object.keys(hub?.messages ?? {}).toSorted())
})

test('asyncapi: every request and every frame of the hub is there, and every schema is one', () => {
  assert.deepEqual(
    Object.keys(REQUEST_MESSAGES).toSorted(),
    RATED.filter((type) => type !== 'binary' && type !== 'invalid').toSorted(),
  )
  assert.deepEqual(Object.keys(FRAME_MESSAGES).toSorted(), FRAME_TYPES.toSorted())
  for (const [name, { payload }] of Object.entries(document.components.messages)) {
    assert.equal(typeof ajv.compile(payload), 'function', name)
  }
  assert.equal(Object.keys(messagesOf(['mine'])).length, Object.keys(messagesOf(CONFIG.channels)).length - 6)
})

/** Whether the hub takes it; what only rights and rates decide is left out. */
const TAKES: Readonly<Record<RequestType, (members: Members) => boolean>> = {
  ping: () => true,
  get_subscriptions: () => true,
  get_reconnection_token: () => true,
  subscribe: (members) => !('problem' in channelsOf(members)),
  unsubscribe: (members) => !('problem' in channelsOf(members)),
  set_options: (members) => !('problem' in optionsOf(members, NO_OPTIONS)),
  broadcast: (members) => !('problem' in broadcastOf(members)),
  recover: (members) => !('problem' in positionsOf(members)),
}

const name = fc.oneof(
  fc.constantFrom(...DEFAULT_CHANNELS),
  fc.string({ maxLength: 3 }),
  fc.constantFrom('x'.repeat(128), 'x'.repeat(129)),
)
const anything = fc.oneof(fc.constantFrom(null, true, 1, -1, 1.5, '', 'a', [], {}), fc.jsonValue({ maxDepth: 2 }))
const flag = fc.oneof(fc.boolean(), anything)
const position = fc.oneof(
  fc.record(
    { epoch: fc.oneof(fc.string({ maxLength: 3 }), anything), offset: fc.oneof(fc.integer(), anything) },
    { requiredKeys: [] },
  ),
  fc.record({ epoch: fc.constant('1'), offset: fc.nat() }),
  anything,
)
const listed = fc.oneof(
  fc.array(name, { maxLength: 3 }),
  fc.array(fc.oneof(name, anything), { maxLength: 3 }),
  fc.constantFrom(64, 65).map((length) => Array.from({ length }, (_, index) => `c${index}`)),
  anything,
)
const REQUESTS: Readonly<Record<RequestType, fc.Arbitrary<object>>> = {
  ping: fc.record({ other: anything }),
  get_subscriptions: fc.constant({}),
  get_reconnection_token: fc.constant({}),
  // Not both: of two, the hub looks at one.
  subscribe: fc.oneof(
    fc.record({ channels: listed }),
    fc.record({ channel: fc.oneof(name, anything) }),
    fc.constant({}),
  ),
  unsubscribe: fc.oneof(fc.record({ channels: listed }), fc.record({ channel: fc.oneof(name, anything) })),
  set_options: fc.record(
    { binary: flag, compression: fc.oneof(fc.constantFrom('gzip', 'none', 'zlib'), anything), offsets: flag },
    { requiredKeys: [] },
  ),
  broadcast: fc
    .record(
      {
        event_type: fc.oneof(name, anything),
        data: fc.oneof(fc.dictionary(fc.string({ maxLength: 3 }), anything, { maxKeys: 2 }), anything),
      },
      { requiredKeys: [] },
    )
    .map((members) => ({ channel: 'signals', ...members })),
  recover: fc.record(
    {
      positions: fc.oneof(
        fc.dictionary(name, position, { maxKeys: 2 }),
        fc
          .constantFrom(64, 65)
          .map((count) =>
            Object.fromEntries(Array.from({ length: count }, (_, index) => [`c${index}`, { epoch: '1', offset: 0 }])),
          ),
        anything,
      ),
    },
    { requiredKeys: [] },
  ),
}

test('asyncapi: a request fits its schema exactly when the hub takes it', () => {
  const verdicts = { taken: 0, refused: 0 }
  const validators = new Map<RequestType, ValidateFunction>()
  for (const [type, { schema }] of Object.entries(REQUEST_MESSAGES))
    validators.set(type as RequestType, ajv.compile(schema))
  const requests = fc
    .constantFrom(...(Object.keys(REQUESTS) as RequestType[]))
    .chain((type) => REQUESTS[type].map((members) => ({ type, members })))
  fc.assert(
    fc.property(requests, ({ type, members }) => {
      // As it comes over the wire: -0 and the like are no values there.
      const request = membersOf(JSON.stringify({ ...members, type }))
      assert.ok(request !== undefined && request !== null)
      const isTaken = TAKES[type](request)
      verdicts[isTaken ? 'taken' : 'refused']++
      assert.equal(validators.get(type)?.(request), isTaken, JSON.stringify(request))
    }),
    { numRuns: RUNS, seed: 7 },
  )
  assert.ok(verdicts.taken > RUNS / 5 && verdicts.refused > RUNS / 5, JSON.stringify(verdicts))
})

test('asyncapi: an id fits its schema exactly when a reply repeats it', () => {
  const validate = ajv.compile(REQUEST_MESSAGES.ping.schema)
  const ids = [0, -5, 2 ** 53 - 1, 1.5, '', 'x'.repeat(64), 'x'.repeat(65), null, true, [], {}]
  for (const id of ids) assert.equal(validate({ type: 'ping', id }), idJson({ id }) !== '', JSON.stringify(id))
})
