import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../src/lib/clock.ts'
import { FigureTable } from '../../src/observe/figure.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { CHECK_MS, Supervisor, type ThreadLife } from '../../src/runtime/supervisor.ts'

const THREAD = 8

// The supervisor's contract with a thread is `ThreadLife`; this one dies and beats when told.
class Life implements ThreadLife {
  readonly #ready = Promise.withResolvers<void>()
  readonly #exited = Promise.withResolvers<void>()
  terminated = false

  get ready(): Promise<void> {
    return this.#ready.promise
  }

  get exited(): Promise<void> {
    return this.#exited.promise
  }

  becomeReady(): void {
    this.#ready.resolve()
  }

  fail(): void {
    this.#ready.reject(new Error('no start'))
  }

  die(): void {
    this.#exited.resolve()
  }

  terminate(): void {
    this.terminated = true
    this.die()
  }
}

class Stage implements Disposable {
  readonly table = FigureTable.allocate()
  readonly clock = new ManualClock(1000)
  readonly lives: Life[] = []
  readonly events: string[] = []
  readonly supervisor: Supervisor

  constructor(hangLimitMs = 5000) {
    this.supervisor = new Supervisor({
      table: this.table,
      clock: this.clock,
      log: createLogger({ level: 'silent', write: () => {}, base: { thread: 'main' } }),
      random: () => 0.5,
      limits: { backoffMinMs: 1, backoffMaxMs: 4, healthyAfterMs: 10_000 },
      hangLimitMs,
      spawn: (_thread, generation) => {
        this.events.push(`spawn ${generation}`)
        const life = new Life()
        this.lives.push(life)
        return life
      },
      onReady: (thread) => this.events.push(`ready ${thread}`),
      onDown: (thread) => this.events.push(`down ${thread}`),
    })
  }

  get life(): Life {
    return this.lives.at(-1) as Life
  }

  async start(): Promise<void> {
    const started = this.supervisor.start(THREAD)
    this.life.becomeReady()
    await started
  }

  /** Time passes in the steps of the supervisor's own timer; the thread beats if it is well. */
  pass(ms: number, beats: boolean): void {
    for (let passed = 0; passed < ms; passed += CHECK_MS) {
      this.clock.advance(CHECK_MS)
      if (beats) this.table.beat(THREAD)
      this.supervisor.check()
    }
  }

  [Symbol.dispose](): void {
    void this.supervisor.stop()
  }
}

async function settle(): Promise<void> {
  for (let n = 0; n < 20; n++) await new Promise((resolve) => setTimeout(resolve, 1))
}

test('supervisor: a dead thread is replaced, at once the first time', async () => {
  using stage = new Stage()
  await stage.start()
  assert.equal(stage.table.state(THREAD), 'ready')
  stage.life.die()
  await settle()
  assert.deepEqual(stage.events, ['spawn 1', 'ready 8', 'down 8', 'spawn 2'])
  assert.equal(stage.table.state(THREAD), 'starting')
  stage.life.becomeReady()
  await settle()
  assert.equal(stage.table.state(THREAD), 'ready')
  assert.equal(stage.table.restarts(THREAD), 1)
})

test('supervisor: a hung thread is shown as hung, then ended and replaced', async () => {
  using stage = new Stage()
  await stage.start()
  stage.pass(3000, true)
  stage.pass(1500, false)
  assert.equal(stage.table.state(THREAD), 'hung')
  assert.equal(stage.life.terminated, false)
  stage.pass(4000, false)
  assert.equal(stage.lives[0]?.terminated, true)
  await settle()
  assert.equal(stage.lives.length, 2)
})

test('supervisor: a thread that comes back before the limit is ready again', async () => {
  using stage = new Stage()
  await stage.start()
  stage.pass(3000, false)
  assert.equal(stage.table.state(THREAD), 'hung')
  stage.pass(500, true)
  assert.equal(stage.table.state(THREAD), 'ready')
  assert.equal(stage.life.terminated, false)
})

test('supervisor: with a hang limit of 0 a hung thread is shown and left alone', async () => {
  using stage = new Stage(0)
  await stage.start()
  stage.pass(60_000, false)
  assert.equal(stage.table.state(THREAD), 'hung')
  assert.equal(stage.life.terminated, false)
})

test('supervisor: nobody is judged for a time in which main itself stood still', async () => {
  using stage = new Stage()
  await stage.start()
  stage.pass(500, true)
  stage.clock.advance(60_000)
  stage.supervisor.check()
  assert.equal(stage.table.state(THREAD), 'ready')
  assert.equal(stage.life.terminated, false)
})

test('supervisor: a first start that fails rejects', async () => {
  using stage = new Stage()
  const started = stage.supervisor.start(THREAD)
  stage.life.fail()
  await assert.rejects(started, /no start/)
})

test('supervisor: a restart that fails is tried again, with pauses', async () => {
  using stage = new Stage()
  await stage.start()
  stage.life.die()
  await settle()
  for (let n = 2; n < 6; n++) {
    assert.equal(stage.lives.length, n)
    stage.life.fail()
    await settle()
  }
  stage.life.becomeReady()
  await settle()
  assert.equal(stage.table.state(THREAD), 'ready')
  assert.equal(stage.events.filter((event) => event === 'ready 8').length, 2)
})

test('supervisor: after stop nothing is started any more', async () => {
  using stage = new Stage()
  await stage.start()
  await stage.supervisor.stop()
  await settle()
  assert.equal(stage.lives.length, 1)
  assert.equal(stage.life.terminated, true)
})
