import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  HOSTS_MAX,
  type HostPlan,
  hostPlans,
  type PlannedConfig,
  planProblems,
  settingProblems,
} from '../../../src/cli/cluster/plan.ts'
import { loadEffectiveConfig } from '../../../src/runtime/effective-config.ts'

const REQUEST = { hosts: 3, shift: 0, data: '/data', cores: 8 }

function load(...flags: readonly string[]): Promise<PlannedConfig> {
  return loadEffectiveConfig({ flags })
}

function portOf(plan: HostPlan | undefined, name: string): number | undefined {
  return plan?.listeners.find((listener) => listener.name === name)?.port
}

test('plan: each host is a step further than the one before it', async () => {
  const plans = hostPlans(await load(), REQUEST)
  assert.deepEqual(
    plans.map((plan) => [plan.number, portOf(plan, 'echo tcp'), portOf(plan, 'chat http'), portOf(plan, 'admin')]),
    [
      [1, 8084, 8080, 9464],
      [2, 8184, 8180, 9564],
      [3, 8284, 8280, 9664],
    ],
  )
  const settings = plans[1]?.settings ?? []
  const expected = ['services.echo.udp.port=8184', 'admin.port=9564', 'bridge.kind=redis', 'shards=2']
  for (const one of [...expected, 'store.path=/data/host-2/polyloop.db']) assert.ok(settings.includes(one), one)
})

test('plan: a configuration of its own counts: ports, shards, services that are off, free ports, a silent log', async () => {
  const given = ['shards=5', 'admin.port=0', 'services.echo.tcp.port=7000', 'services.chat.enabled=false']
  const plans = hostPlans(await load(...given, 'log.level=error'), { ...REQUEST, shift: 10 })
  assert.deepEqual([portOf(plans[2], 'echo tcp'), portOf(plans[2], 'admin')], [7210, 0])
  assert.equal(portOf(plans[0], 'chat tcp'), undefined)
  const settings = plans[0]?.settings ?? []
  assert.ok(!settings.some((setting) => setting.startsWith('shards=')))
  assert.ok(settings.includes('log.level=info'), 'or nobody would hear that it is ready')
})

test('plan: the most hosts have room; ports that two want, or that do not exist, are told', async () => {
  const loaded = await load()
  assert.deepEqual(planProblems(hostPlans(loaded, { ...REQUEST, hosts: HOSTS_MAX }), 6_390), [])
  assert.deepEqual(planProblems(hostPlans(loaded, { ...REQUEST, hosts: 1 }), 8_084), [
    'port 8084 is that of redis and of echo tcp of host 1',
  ])
  const [problem] = planProblems(hostPlans(await load('services.echo.tcp.port=65436'), { ...REQUEST, hosts: 2 }), 1)
  assert.equal(problem, 'echo tcp of host 2: there is no port 65536')
})

test('plan: what it sets beside numbers that a configuration may choose cannot be set by others', async () => {
  const settings = hostPlans(await load(), REQUEST)[0]?.settings ?? []
  const others = settings.filter((setting) => !/^(services\..*|admin)\.port=|^shards=/.test(setting))
  assert.equal(others.length, 4, others.join(' '))
  for (const setting of others) assert.equal(settingProblems([setting]).length, 1, setting)
  assert.deepEqual(settingProblems(['services.echo.tcp.port=7000', 'shards=2', 'log.level=debug', 'modules=x.ts']), [])
})
