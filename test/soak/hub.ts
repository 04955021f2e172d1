// The hub's storms with five thousand clients: all cut at once, again and again, and shards that die, while events are
// published all the time. Each client counts what it gets.
import assert from 'node:assert/strict'
import { HubCrowd, type Storm } from '../harness/hub-crowd.ts'
import { HubPress } from '../harness/hub-press.ts'
import { HubServer, MANY_BROADCASTS } from '../harness/hub-server.ts'
import { shardOf } from '../harness/shard-key.ts'
import { waitUntil } from '../harness/wait.ts'
import { costFigures, StormCost } from './hub-cost.ts'
import { defineScenario, type SoakFigure, spreadOf } from './scenario.ts'

const CLIENTS = 5_000
const QUICK_CLIENTS = 200
const ROUNDS = 3
const QUICK_ROUNDS = 1
const SHARDS = 2
/** More than is published while they are away. */
const HISTORY = 100_000
const CAUGHT_UP_MS = 120_000
/** An event for 5,000 costs server and clients some 0.1 s of CPU, and what is measured is how they come back. */
const PRESS_MS = 250

export const hub = defineScenario({
  claim:
    'Thousands of clients lose their connections at once, by a cut or with their shard, come back with their tokens, and each ends with every event exactly once.',
  limitMs: 20 * 60_000,
  async run({ quick, log }) {
    const [clients, rounds] = quick ? [QUICK_CLIENTS, QUICK_ROUNDS] : [CLIENTS, ROUNDS]
    await using server = await HubServer.start({
      shards: SHARDS,
      hub: { rateLimits: MANY_BROADCASTS, 'history.size': HISTORY, bufferSize: HISTORY },
    })
    using crowd = await HubCrowd.gather({ count: clients, url: (query) => server.server.url('hub.ws', `/ws${query}`) })
    const home = shardOf('topic/hub.metrics', SHARDS)
    const victim = SHARDS - 1 - home
    const cuts: Storm[] = []
    const deaths: Storm[] = []
    const costs: StormCost[] = []
    let events = 0
    for (let round = 1; round <= rounds; round++) {
      for (const [storms, harm] of [
        [cuts, undefined],
        [deaths, () => server.server.kill(victim)],
      ] as const) {
        // On the shard that stays.
        using publisher = await server.enterOn(home, { claims: { sub: 'admin' } })
        const press = new HubPress(publisher, events, PRESS_MS)
        // Who has heard nothing has no place to go on from.
        await waitUntil('everybody has heard something', () => crowd.allHeard, CAUGHT_UP_MS)
        const cost = new StormCost([server.server.pid])
        const storm = await crowd.storm(harm)
        cost.end()
        if (harm === undefined) costs.push(cost)
        events = await press.stop()
        await crowd.caughtUp(events, CAUGHT_UP_MS)
        assert.deepEqual([storm.wrong, storm.gaps, storm.fresh], [0, 0, 0])
        storms.push(storm)
        if (harm !== undefined) await server.server.recovered(victim, deaths.length)
      }
      log(`round ${round}: ${events} events`)
    }
    const figures: SoakFigure[] = [
      { name: 'clients', value: `${clients}` },
      { name: 'events that each got once', value: `${events}` },
      { name: 'from the cut of all until half were back', value: spreadOf(cuts.map(({ halfMs }) => halfMs)) },
      { name: 'until the last was back', value: spreadOf(cuts.map(({ backMs }) => backMs)) },
      ...costFigures(costs, clients),
    ]
    if (deaths.length > 0)
      figures.push({
        name: 'from the death of their shard until the last was back',
        value: spreadOf(deaths.map(({ backMs }) => backMs)),
      })
    return figures
  },
})
