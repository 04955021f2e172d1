// Both clients against one hub: the same scenarios, and each reads what the other packs.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { binaryHandler } from '../../clients/typescript/src/binary.ts'
import { bytesOf, hexOf, packed, plain, runScenario, type Step } from '../../clients/typescript/test/scenario.ts'
import { ClientGround, SCENARIOS } from '../harness/client-ground.ts'
import { requirePython } from '../harness/python.ts'
import { within } from '../harness/wait.ts'

const PYTHON_MS_MAX = 60_000
const PACKS: readonly Step[] = [
  { do: 'pack', type: 'image', bytes: 'ff00', metadata: { format: 'png', width: 1, height: 2, note: 'привет' } },
  { do: 'pack', type: 'audio', bytes: '01', metadata: { sample_rate: 48_000, channels: 2 } },
  { do: 'pack', type: 'video', bytes: '02', metadata: { width: 3 } },
  { do: 'pack', type: 'binary_data', bytes: '', metadata: {} },
  { do: 'pack', type: 'compressed_json', json: { text: 'привет '.repeat(200), list: [1, null] } },
]

interface Line {
  readonly name?: string
  readonly error?: string
  readonly packed?: readonly string[]
  readonly unpacked?: readonly unknown[]
}

let ground: ClientGround
before(async () => {
  ground = await ClientGround.start()
})
after(() => ground[Symbol.asyncDispose]())

for (const scenario of SCENARIOS) {
  test(`client scenario, TypeScript: ${scenario.name}`, () => runScenario(scenario, ground.surroundings))
}

test('client scenario, Python: all of them; and each client reads what the other packs', async (context) => {
  const ours = await Promise.all(PACKS.map(async (step) => hexOf(await packed(step))))
  const python = requirePython()
  const child = spawn(python.path, ['-m', 'tests.scenario'], {
    cwd: join(import.meta.dirname, '../../clients/python'),
    env: { PATH: process.env.PATH, ...python.environment },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  context.after(() => child.kill('SIGKILL'))
  child.stdin.end(
    JSON.stringify({ scenarios: SCENARIOS, surroundings: ground.surroundings, packs: PACKS, unpack: ours }),
  )
  const output = await within('the scenarios in Python', text(child.stdout), PYTHON_MS_MAX)
  const lines = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
  const { packed: theirs = [], unpacked = [] } = lines.pop() ?? {}
  for (const { name = '', error } of lines) await context.test(name, () => assert.equal(error, undefined))
  assert.deepEqual(
    lines.map(({ name }) => name),
    SCENARIOS.map(({ name }) => name),
  )
  // The bytes of gzip may differ; all others must not.
  assert.deepEqual(theirs.slice(0, 4), ours.slice(0, 4))
  const read = await Promise.all(theirs.map(readOf))
  assert.deepEqual(read, await Promise.all(ours.map(readOf)))
  assert.deepEqual(unpacked.map(sizeless), read)
})

/** What a message says, but not how well it was compressed. */
async function readOf(hex: string): Promise<unknown> {
  const message = binaryHandler.parseMessage(bytesOf(hex))
  if (message.type !== 'COMPRESSED_JSON') return sizeless(JSON.parse(JSON.stringify(plain(message))))
  return sizeless({ ...(plain(message) as object), json_data: await binaryHandler.readJson(message) })
}

function sizeless(message: unknown): unknown {
  const { payload, metadata, ...rest } = message as { readonly payload: string; readonly metadata: object }
  const { compressed_size: size, ...kept } = metadata as { readonly compressed_size?: number }
  return size === undefined ? { ...rest, metadata, payload } : { ...rest, metadata: kept }
}
