// A chat whose store other hosts write to: pages show it, the store is asked for no more than is missing, and nothing is told
// by the actor itself.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { logEntryHead } from '../../../src/actor/topic-log.ts'
import type { PageResult } from '../../../src/services/chat/chat-actor.ts'
import { announcementOf, messageLine } from '../../../src/services/chat/feed.ts'
import { Random } from '../../simulation/random.ts'
import { ActorWorld, LATE_MS, STORE_TIMEOUT_MS } from './actor-world.ts'

const STEPS = 400
const SEED = Number(process.env.POLYLOOP_CHAT_SEED ?? Date.now() % 1_000_000_000)

function contentsOf(result: PageResult): string[] {
  assert.ok(result.ok)
  return result.messages.map(({ content }) => content)
}

class SharedWorld extends ActorWorld {
  readonly stored: string[] = []

  /** Another host's. */
  elsewhere(count: number): void {
    for (let index = 0; index < count; index++) {
      const content = `other ${this.stored.length + 1}`
      this.stored.push(content)
      this.engine.addMessage({ chatId: 1, senderId: 1, content, type: 'Text', createSender: false })
    }
  }

  async here(): Promise<void> {
    const content = `own ${this.stored.length + 1}`
    this.stored.push(content)
    const result = await this.answerOf(this.chat(1).ask('send', { senderId: 1, content, type: 'Text' }))
    assert.deepEqual(result, { ok: true, id: this.stored.length })
  }

  page(page: number, perPage: number): Promise<PageResult> {
    return this.answerOf(this.chat(1).ask('page', { page, perPage }))
  }

  async showsPage(page: number, perPage: number): Promise<void> {
    const result = await this.page(page, perPage)
    assert.deepEqual(contentsOf(result), this.stored.slice((page - 1) * perPage, page * perPage))
    assert.equal(result.ok && result.total, this.stored.length)
  }
}

test('shared: a page shows what another host stored, and asks for no more than it lacks', async () => {
  const world = new SharedWorld({ isShared: true })
  await world.here()
  assert.deepEqual(world.takeCalled(), ['recentMessages', 'addMessage'])
  world.elsewhere(3)
  await world.showsPage(1, 50)
  // One of them to see that what is cached is still what the store has.
  assert.deepEqual(world.takeCalled(), ['recentMessages', 'messages', 'messages'])
  await world.showsPage(1, 50)
  assert.deepEqual(world.takeCalled(), ['recentMessages'], 'what was read is kept')
  await world.here()
  world.elsewhere(1)
  await world.here()
  world.takeCalled()
  await world.showsPage(1, 50)
  assert.deepEqual(world.takeCalled(), ['recentMessages', 'messages'])
  assert.deepEqual(world.published, [], 'the store tells')
})

test('shared: a chat made elsewhere is found; one that is nowhere is none', async () => {
  const world = new SharedWorld({ isShared: true })
  assert.deepEqual(await world.answerOf(world.chat(2).ask('page', { page: 1, perPage: 9 })), {
    ok: true,
    total: 0,
    messages: [],
  })
  world.engine.createChat({ name: 'new', type: 'group', creatorId: 1, participants: [] })
  assert.deepEqual(await world.answerOf(world.chat(2).ask('look')), { ok: true })
})

test('shared: a message whose answer was lost is on the next page; nobody waits for it', async () => {
  const world = new SharedWorld({ isShared: true })
  await world.here()
  world.isHeld = true
  const lost = world.chat(1).ask('send', { senderId: 1, content: 'lost', type: 'Text' })
  await world.run()
  await world.kill(true)
  world.isHeld = false
  const result = await world.answerOf(lost)
  assert.ok(!result.ok && !result.chatUnknown)
  world.stored.push('lost')
  world.takeCalled()
  await world.pass(STORE_TIMEOUT_MS)
  assert.deepEqual(world.takeCalled(), [], 'it does not look')
  await world.here()
  await world.showsPage(1, 50)
  assert.deepEqual(world.published, [])
})

test('shared: a store that fails is a problem of the page, in its words', async () => {
  const world = new SharedWorld({ isShared: true })
  await world.here()
  world.elsewhere(1)
  world.isHeld = true
  const asked = world.chat(1).ask('page', { page: 1, perPage: 9 })
  await world.run()
  await world.pass(STORE_TIMEOUT_MS + LATE_MS)
  const result = await asked
  assert.ok(!result.ok)
  assert.equal(result.text, 'Ошибка БД: the store did not answer in time')
})

test(`shared: any pages and any writers, with a cache that holds few of them (seed ${SEED})`, async () => {
  const random = new Random(SEED)
  const world = new SharedWorld({ isShared: true, config: { cacheBytes: 4_096 } })
  for (let step = 0; step < STEPS; step++) {
    const what = random.below(5)
    if (what === 0) world.elsewhere(random.below(30))
    else if (what === 1) await world.here()
    else {
      const perPage = 1 + random.below(60)
      await world.showsPage(1 + random.below(2 + Math.ceil(world.stored.length / perPage)), perPage)
    }
  }
  assert.ok(world.stored.length > 200)
})

test('feed: what a shared store tells is the line of the message, and an entry of its topic', () => {
  const wallMs = 1_763_750_000_123
  for (const content of ['Hello', '', '"quoted" \\ \n', 'ж\u{1F600}', '"id":0', '{"packet_type":']) {
    for (const id of [1, 10, 9_007_199_254_740_991]) {
      const message = { chatId: 7, senderId: 2, content, type: 'Image', createdAt: 1_763_750_000 } as const
      const { log, before, after, createdAt, countMax, ttlSeconds } = announcementOf(message, wallMs)
      const entry = Buffer.concat([Buffer.from(before), Buffer.from(String(id)), Buffer.from(after)])
      const head = logEntryHead(entry)
      assert.deepEqual(head, { form: 1, keyBytes: 0, wallMs })
      assert.equal(entry.toString('utf8', 12), messageLine({ ...message, id, sequence: 1 }))
      assert.deepEqual([log, createdAt], ['topic:chat-feed.7', message.createdAt])
      assert.ok(countMax >= 256 && ttlSeconds >= 600)
    }
  }
})
