import assert from 'node:assert/strict'
import { test } from 'node:test'
import { actorLines } from '../../src/cli/actors-view.ts'
import { type ActorsReport, NO_ACTORS } from '../../src/observe/actor-report.ts'
import { openAdmin } from './admin-fixture.ts'
import { runCommand } from './capture.ts'

const REPORT: ActorsReport = {
  kinds: [
    {
      kind: 'counter',
      active: 1_200,
      mailbox_depth: 0,
      messages: { ok: 50_000, failed: 0, refused: 0, dead: 0 },
      handlers: [{ method: 'add', count: 50_000, mean_seconds: 12e-6, max_seconds: 0.0034 }],
    },
    {
      kind: 'room',
      active: 3,
      mailbox_depth: 17,
      messages: { ok: 900, failed: 2, refused: 1, dead: 4 },
      handlers: [{ method: 'join', count: 40, mean_seconds: 0.012, max_seconds: 1.25 }],
    },
  ],
  deepest: [{ actor: 'room/lobby', shard: 1, mailbox_depth: 17 }],
  dead_letters: { mailbox_full: 4, expired: 0 },
}

test('actors: kinds, slowest handlers, fullest mailboxes, and what nobody handled', () => {
  assert.equal(
    actorLines(REPORT).join('\n'),
    `
KIND     ACTIVE  MAILBOX      OK  FAILED  REFUSED  DEAD
counter   1,200        0  50,000       0        0     0
room          3       17     900       2        1     4

Slowest handlers
KIND     HANDLER   CALLS   MEAN     MAX
room     join         40  12 ms   1.3 s
counter  add      50,000  12 µs  3.4 ms

Fullest mailboxes
ACTOR       SHARD  MESSAGES
room/lobby      1        17

Messages that no actor handled
REASON        MESSAGES
mailbox_full         4`.slice(1),
  )
})

test('actors: one kind, an unknown kind, none at all', async (context) => {
  const { url } = await openAdmin(context, { view: () => ({ actors: () => Promise.resolve(REPORT) }) })
  const one = await runCommand(['actors', 'counter', '--admin', url])
  assert.equal(one.status, 0)
  assert.ok(one.stdout.includes('counter') && !one.stdout.includes('room'))
  const { kinds } = JSON.parse((await runCommand(['actors', '--json', '--admin', url])).stdout) as ActorsReport
  assert.deepEqual(kinds, REPORT.kinds)
  assert.deepEqual(await runCommand(['actors', 'romo', '--admin', url]), {
    status: 1,
    stdout: '',
    stderr: 'actors: no kind romo; there are: counter, room\n',
  })
  assert.deepEqual(actorLines(NO_ACTORS), ['no kinds of actors: a module brings them'])
})
