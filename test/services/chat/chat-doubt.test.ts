// A chat that does not know whether the store did what it was called for: subscribers get all that was committed, in order,
// each message once, and without anybody asking.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SendResult } from '../../../src/services/chat/chat-actor.ts'
import { RECENT_MAX } from '../../../src/services/chat/chat-state.ts'
import { ActorWorld, LATE_MS, STORE_TIMEOUT_MS } from './actor-world.ts'

/** A chat looks at least so often. */
const LOOK_MS = 1_000
const STEP_MS = 100

function send(world: ActorWorld, content: string): Promise<SendResult> {
  return world.chat(1).ask('send', { senderId: 1, content, type: 'Text' })
}

/** Contents that subscribers got since the last time. */
function told(world: ActorWorld): (string | undefined)[] {
  return world.takePublished().map((line) => /"content":"([^"]*)"/.exec(line)?.[1])
}

/** Time goes by in steps, so that what a timer begins goes on. */
async function pass(world: ActorWorld, ms: number): Promise<void> {
  for (let passedMs = 0; passedMs < ms; passedMs += STEP_MS) await world.pass(STEP_MS)
}

async function opened(): Promise<ActorWorld> {
  const world = new ActorWorld()
  await world.answerOf(send(world, 'a'))
  assert.deepEqual(told(world), ['a'])
  world.isHeld = true
  return world
}

async function failed(asked: Promise<SendResult>): Promise<void> {
  assert.equal((await asked).ok, false)
}

test('chat: subscribers get what was committed without our hearing of it, though nobody asks', async () => {
  const world = await opened()
  const asked = send(world, 'b')
  await world.run()
  await world.kill(true)
  await failed(asked)
  // The next thread does not answer for a while.
  await pass(world, STORE_TIMEOUT_MS + LOOK_MS + LATE_MS)
  assert.deepEqual(told(world), [])
  world.isHeld = false
  await pass(world, STORE_TIMEOUT_MS + LOOK_MS + LATE_MS)
  assert.deepEqual(told(world), ['b'])
  world.takeCalled()
  await pass(world, 60_000)
  assert.deepEqual(world.takeCalled(), [])
})

test('chat: a message is not told before one that was answered too late', async () => {
  const world = await opened()
  const late = send(world, 'b')
  await world.run()
  await world.pass(STORE_TIMEOUT_MS / 2)
  const prompt = send(world, 'c')
  await world.run()
  await world.pass(STORE_TIMEOUT_MS / 2 + LATE_MS)
  await failed(late)
  world.isHeld = false
  assert.equal((await world.answerOf(prompt)).ok, true)
  const page = await world.answerOf(world.chat(1).ask('page', { page: 1, perPage: 50 }))
  assert.deepEqual(page.ok && page.messages.map(({ content }) => content), ['a', 'b', 'c'])
  assert.deepEqual(told(world), ['b', 'c'])
  await world.answerOf(send(world, 'd'))
  assert.deepEqual(told(world), ['d'])
})

test('chat: more messages in doubt than a page are all told', async () => {
  const world = await opened()
  const contents = Array.from({ length: 2 * RECENT_MAX + 7 }, (_, index) => `m${index}`)
  const asked = contents.map((content) => send(world, content))
  await world.run()
  await world.kill(true)
  for (const one of asked) await failed(one)
  world.isHeld = false
  await world.answerOf(send(world, 'last'))
  assert.deepEqual(told(world), [...contents, 'last'])
})

test('chat: what is in doubt is told from the shard that the chat moved to', async () => {
  const world = await opened()
  const asked = send(world, 'b')
  await world.run()
  await world.kill(true)
  await failed(asked)
  await world.move('chat/1')
  assert.deepEqual(told(world), [])
  world.isHeld = false
  await pass(world, LOOK_MS)
  assert.deepEqual(told(world), ['b'])
})
