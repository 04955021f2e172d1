import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Member, RESTART_MS } from '../../../src/cli/cluster/member.ts'
import { waitUntil } from '../../harness/wait.ts'

const GRACE_MS = 5_000
const POLITE = 'trap "exit 0" TERM; echo up; while :; do sleep 0.02; done'
const DEAF = 'trap "" TERM; echo up; while :; do sleep 0.02; done'

const folder = mkdtempSync(join(tmpdir(), 'polyloop-member-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function memberOf(name: string, ...line: [string, ...string[]]): { member: Member; states: string[] } {
  const states: string[] = []
  const member = new Member({
    name,
    line,
    environment: { PATH: process.env.PATH },
    logFile: join(folder, `${name}.log`),
    isReady: (text) => text === 'up',
    onLine: () => {},
    onState: (text) => states.push(text.replace(/\d[\d.]* s, process \d+/, '… s')),
  })
  return { member, states }
}

test('member: ready with its line, ended in good order, and all it wrote is in its log', async () => {
  const { member, states } = memberOf('polite', 'sh', '-c', POLITE)
  assert.equal(await member.start(), true)
  assert.equal(await member.stop(GRACE_MS), true)
  assert.deepEqual([states, member.lastLines], [['polite: ready after … s'], ['up']])
  assert.equal(readFileSync(join(folder, 'polite.log'), 'utf8'), 'up\n')
})

test('member: one that does not want to end is ended, and that is told', async () => {
  const { member } = memberOf('deaf', 'sh', '-c', DEAF)
  await member.start()
  assert.equal(await member.stop(100), false)
})

test('member: killed it starts again, unless its cluster killed it', async () => {
  const { member, states } = memberOf('killed', 'sh', '-c', POLITE)
  await member.start()
  const first = member.pid
  process.kill(first ?? 0, 'SIGKILL')
  await waitUntil('it is back', () => states.length === 3, RESTART_MS + GRACE_MS)
  const [up, down, again] = states
  assert.deepEqual([up, down], [again, `killed: ended (SIGKILL); starts again in ${RESTART_MS / 1_000} s`])
  assert.notEqual(member.pid, first)
  member.kill()
  assert.equal(await member.stop(GRACE_MS), false)
  assert.equal(states.length, 3)
})

test('member: killed while it starts again, it starts once more', async () => {
  const slow = `[ -e ${folder}/once ] && sleep 0.2; touch ${folder}/once; ${POLITE}`
  const { member, states } = memberOf('twice', 'sh', '-c', slow)
  await member.start()
  const first = member.pid
  process.kill(first ?? 0, 'SIGKILL')
  await waitUntil('it starts', () => member.pid !== first, RESTART_MS + GRACE_MS)
  process.kill(member.pid ?? 0, 'SIGKILL')
  await waitUntil('it is back', () => states.length === 4, RESTART_MS + GRACE_MS)
  const [up, down, ...again] = states
  assert.deepEqual(again, [down, up])
  assert.equal(await member.stop(GRACE_MS), true)
})

test('member: what ends before it is ready, or is not there, is given up', async () => {
  const { member, states } = memberOf('short', 'sh', '-c', 'echo why; exit 3')
  assert.deepEqual([await member.start(), member.lastLines], [false, ['why']])
  assert.match(states[0] ?? '', /^short: ended before it was ready \(exit status 3\); .*short\.log has its log$/)
  const nobody = memberOf('nobody', join(folder, 'nobody'))
  assert.equal(await nobody.member.start(), false)
  assert.deepEqual([nobody.states.length, await nobody.member.stop(GRACE_MS)], [1, true])
})
