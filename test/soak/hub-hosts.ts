// The hub's storm through the death of a host: three processes and one Redis, five thousand clients on one of them, events
// published on another one all the time. It is killed; its clients come to the other two with their tokens.
import assert from 'node:assert/strict'
import { HubCluster } from '../harness/hub-cluster.ts'
import { HubCrowd, type Storm } from '../harness/hub-crowd.ts'
import { HubPress } from '../harness/hub-press.ts'
import { type HubServer, MANY_BROADCASTS } from '../harness/hub-server.ts'
import { waitUntil } from '../harness/wait.ts'
import { costFigures, StormCost } from './hub-cost.ts'
import { defineScenario, spreadOf } from './scenario.ts'

const HOSTS = 3
const CLIENTS = 5_000
const QUICK_CLIENTS = 200
const ROUNDS = 3
const QUICK_ROUNDS = 1
/** More than is published while they are away. */
const HISTORY = 100_000
const CAUGHT_UP_MS = 120_000
/** An event for 5,000 costs server and clients some 0.1 s of CPU, and what is measured is how they come back. */
const PRESS_MS = 250

/** One host dies with all of the clients on it. */
async function death(
  hosts: HubServer[],
  victim: number,
  clients: number,
  first: number,
): Promise<{ readonly storm: Storm; readonly cost: StormCost; readonly last: number }> {
  const others = hosts.filter((_, index) => index !== victim)
  const [dying, publishing] = [hosts[victim], others[0]]
  assert.ok(dying !== undefined && publishing !== undefined)
  let attempts = 0
  let isDead = false
  const hostOf = (): HubServer => (isDead ? (others[attempts++ % others.length] ?? publishing) : dying)
  using crowd = await HubCrowd.gather({
    count: clients,
    url: (query) => hostOf().server.url('hub.ws', `/ws${query}`),
  })
  using publisher = await publishing.admin()
  const press = new HubPress(publisher, first, PRESS_MS)
  // Who has heard nothing has no place to go on from.
  await waitUntil('everybody has heard something', () => crowd.allHeard, CAUGHT_UP_MS)
  const cost = new StormCost(others.map(({ server }) => server.pid))
  const storm = await crowd.storm(async () => {
    isDead = true
    dying.server.signal('SIGKILL')
    await dying.server.ended
  })
  cost.end()
  const last = await press.stop()
  await crowd.caughtUp(last, CAUGHT_UP_MS)
  assert.deepEqual([storm.wrong, storm.gaps, storm.fresh], [0, 0, 0])
  return { storm, cost, last }
}

export const hubHosts = defineScenario({
  claim:
    'Thousands of clients lose their host at once, come back to two others with their tokens, and each ends with every event exactly once.',
  limitMs: 15 * 60_000,
  async run({ quick, log }) {
    const [clients, rounds] = quick ? [QUICK_CLIENTS, QUICK_ROUNDS] : [CLIENTS, ROUNDS]
    await using cluster = await HubCluster.start(HOSTS, {
      rateLimits: MANY_BROADCASTS,
      'history.size': HISTORY,
      bufferSize: HISTORY,
    })
    const { hosts } = cluster
    const storms: Storm[] = []
    const costs: StormCost[] = []
    let events = 0
    for (let round = 0; round < rounds; round++) {
      const victim = round % HOSTS
      const { last, storm, cost } = await death(hosts, victim, clients, events)
      storms.push(storm)
      costs.push(cost)
      log(
        `host ${victim} died: half are back after ${storm.halfMs.toFixed(0)} ms, all after ${storm.backMs.toFixed(0)} ms, event ${last}`,
      )
      events = last
      await hosts[victim]?.[Symbol.asyncDispose]()
      hosts[victim] = await cluster.startHost()
    }
    return [
      { name: 'hosts; clients; hosts killed', value: `${HOSTS}; ${clients}; ${rounds}` },
      { name: 'events, of which each got all since it came once and in order', value: `${events}` },
      {
        name: 'from the death of their host until half were back',
        value: spreadOf(storms.map(({ halfMs }) => halfMs)),
      },
      { name: 'until the last was back', value: spreadOf(storms.map(({ backMs }) => backMs)) },
      ...costFigures(costs, clients),
    ]
  },
})
