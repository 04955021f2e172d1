import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CORE_OPTIONS } from '../../src/config/core-options.ts'
import { changedValues, effectiveYaml } from '../../src/config/description.ts'
import { boolean, optional, secret, url } from '../../src/config/kind.ts'
import { type ConfigRequest, deepFreeze, loadConfig, readConfigFile } from '../../src/config/loader.ts'
import { defineOptions, type OptionRows, option } from '../../src/config/option.ts'
import { ConfigProblem } from '../../src/config/problem.ts'
import { serviceOptions } from '../../src/config/service-options.ts'
import { FILE_BYTES_MAX } from '../../src/config/source.ts'
import { PolyloopError } from '../../src/lib/errors.ts'

const echo = serviceOptions('echo', { options: {}, listeners: { tcp: { port: 8084 }, ws: { port: 8085 } } })
const options = { ...CORE_OPTIONS, ...echo }
const here = import.meta.filename

function file(text: string): { path: string; text: string } {
  return { path: 'a.yaml', text }
}

/** The problems of a configuration as lines; none means it loads. */
function problemsOf(request: Partial<ConfigRequest<OptionRows>>): string[] {
  try {
    loadConfig({ options, ...request })
    return []
  } catch (error) {
    assert.ok(error instanceof PolyloopError)
    assert.equal(error.code, 'CONFIG_INVALID')
    const problems = error.details.problems as ConfigProblem[]
    assert.ok(problems.length > 0 && problems.every((problem) => problem instanceof ConfigProblem))
    return problems.map(String)
  }
}

test('config: a later source wins, and each value knows its origin', () => {
  const { config, origins } = loadConfig({
    options,
    file: file('shards: 2\nnet:\n  backlog: 10\n  sendBuffer:\n    max: 2MiB\nshutdown: { grace: 1.5 }\n'),
    environment: { POLYLOOP_NET_BACKLOG: '20', POLYLOOP_SHARDS: '3', POLYLOOP_MODULES: here, OTHER: 'x' },
    flags: ['shards=4'],
  })
  assert.equal(config.shards, 4)
  assert.equal(config.net.backlog, 20)
  assert.equal(config.net.sendBuffer.max, 2 * 1024 * 1024)
  assert.equal(config.shutdown.grace, 1_500)
  assert.deepEqual(config.modules, [here])
  assert.equal(origins.get('shards'), 'flag')
  assert.equal(origins.get('net.backlog'), 'env POLYLOOP_NET_BACKLOG')
  assert.equal(origins.get('net.sendBuffer.max'), 'a.yaml:5')
  assert.equal(origins.get('shutdown.grace'), 'a.yaml:6')
  assert.equal(origins.get('net.sendBuffer.high'), 'default')
  assert.deepEqual([...origins.keys()].sort(), Object.keys(options).sort())
})

test('config: a program gives nested values, which count more than the file and less than the environment', () => {
  const { config, origins } = loadConfig({
    options,
    file: file('shards: 2\nring: { doorbell: wait }'),
    values: {
      shards: 3,
      net: { backlog: 9, sendBuffer: { max: '2MiB' } },
      modules: [here],
      admin: { token: undefined },
    },
    environment: { POLYLOOP_NET_BACKLOG: '10' },
  })
  assert.deepEqual([config.shards, config.net.backlog, config.net.sendBuffer.max], [3, 10, 2 * 1024 * 1024])
  assert.deepEqual([config.ring.doorbell, config.modules], ['wait', [here]])
  assert.equal(origins.get('shards'), 'argument')
  const values = { net: 5, ring: null, shardz: 1, bridge: { redis: { url: new Date(0) } } }
  assert.deepEqual(problemsOf({ values }), [
    'argument: net: must be a section, an object of keys',
    'argument: ring: must be a section, an object of keys',
    'argument: shardz: no such option (did you mean shards?)',
    'argument: bridge.redis.url: must be redis://host:port, redis+sentinel://host:port,…/master or redis+cluster://host:port,… (rediss: with TLS) (value not shown)',
  ])
})

test('config: an empty file, an empty section, null and an empty variable all leave the default', () => {
  for (const text of ['', '# nothing\n', 'net:\n', 'net:\n  backlog:\n', 'net:\n  backlog: null\n', '{}']) {
    assert.equal(loadConfig({ options, file: file(text) }).config.net.backlog, 511, text)
  }
  assert.equal(
    loadConfig({ options, environment: { POLYLOOP_NET_BACKLOG: '', REDIS_URL: '' } }).config.net.backlog,
    511,
  )
})

test('config: is frozen all the way down, and a clone can be frozen again', () => {
  const { config } = loadConfig({ options, flags: ['admin.hosts=a,b'] })
  const clone = deepFreeze(structuredClone(config))
  for (const frozen of [config, clone]) {
    for (const part of [frozen, frozen.net, frozen.net.sendBuffer, frozen.admin.hosts]) assert.ok(Object.isFrozen(part))
  }
  assert.deepEqual(clone, config)
})

test('config: all problems at once, each with origin, key, bound and value', () => {
  const text = 'shards: 65\nnet:\n  sendBufer: { max: 1 }\n  backlog: many\nlog: loud\nstore:\n  path: 7\n'
  assert.deepEqual(
    problemsOf({
      file: file(text),
      environment: { POLYLOOP_NET_BACKLGO: '1', POLYLOOP_LOG_LEVEL: 'all' },
      flags: ['ring.capacity=100KiB', 'ring', 'net.maxconnections=5'],
    }).sort(),
    [
      'a.yaml:1: shards: must be auto, or an integer from 1 to 64, not 65',
      'a.yaml:3: net.sendBufer: no such option (did you mean net.sendBuffer?)',
      "a.yaml:4: net.backlog: must be an integer from 1 to 65535, not 'many'",
      'a.yaml:5: log: must be a section, a map of keys',
      'a.yaml:7: store.path: must be a string of 1 to 4096 bytes, not 7',
      "env POLYLOOP_LOG_LEVEL: log.level: must be one of trace, debug, info, warn, error, fatal, silent, not 'all'",
      'env POLYLOOP_NET_BACKLGO: no such option (did you mean POLYLOOP_NET_BACKLOG?)',
      'flag: --set ring: must be KEY=VALUE',
      'flag: net.maxconnections: no such option (did you mean net.maxConnections?)',
      "flag: ring.capacity: must be a size that is a power of two, from 4KiB to 64MiB, not '100KiB'",
    ],
  )
})

test('config: broken YAML names its line, and a key given twice is broken', () => {
  assert.match(problemsOf({ file: file('shards: 1\nnet: [\n') })[0] ?? '', /^a\.yaml:[23]: /)
  assert.match(problemsOf({ file: file('shards: 1\nshards: 2\n') })[0] ?? '', /^a\.yaml:2: .*unique/)
  assert.match(problemsOf({ file: file('shards: 1\n---\nshards: 2\n') })[0] ?? '', /^a\.yaml:\d: .*documents/)
  assert.deepEqual(problemsOf({ file: file('- 1') }), ['a.yaml:1: must be a section, a map of keys'])
})

test('config: a value that is deep, long or contains itself is refused in few words', () => {
  const texts = [
    '['.repeat(50_000),
    `modules: ${'['.repeat(5_000)}${']'.repeat(5_000)}`,
    'modules: &a [*a]',
    `log: { level: ${'x'.repeat(100_000)} }`,
    `admin: { hosts: [${'[a], '.repeat(10_000)}] }`,
    Array.from({ length: 10_000 }, () => 'a:').join('\n'),
  ]
  for (const text of texts) {
    const problems = problemsOf({ file: file(text) })
    assert.ok(problems.length > 0 && problems.length < 10, text.slice(0, 20))
    assert.ok(problems.join('').length < 1_000, problems.join('\n').slice(0, 2_000))
  }
})

test('config: aliases work, and one that expands without end is refused', () => {
  const { config } = loadConfig({
    options,
    file: file('shard: { restartBackoff: &pause { min: 1s, max: 2s } }\nnet: { closeTimeout: &t 9s, headTimeout: *t }'),
  })
  assert.equal(config.net.headTimeout, 9_000)
  const bomb = [
    'modules: &a [x]',
    ...Array.from({ length: 9 }, (_, depth) => {
      const from = String.fromCharCode(97 + depth)
      return `${depth === 8 ? 'admin: { hosts: ' : `k${depth}: `}&${String.fromCharCode(98 + depth)} [${`*${from}, `.repeat(9)}*${from}]${depth === 8 ? ' }' : ''}`
    }),
  ].join('\n')
  const problems = problemsOf({ file: file(bomb) })
  assert.ok(problems.some((problem) => problem.startsWith('a.yaml:10: admin.hosts: must be a list')))
  assert.ok(problems.join('').length < 10_000)
})

test('config: names of built-in members are unknown keys like any other', () => {
  for (const key of ['__proto__', 'constructor', 'toString.members', '__proto__.polluted', 'constructor.prototype']) {
    assert.match(problemsOf({ flags: [`${key}=1`] })[0] ?? '', /^flag: .*no such option/, key)
    assert.match(problemsOf({ file: file(`${JSON.stringify(key)}: 1`) })[0] ?? '', /^a\.yaml:1: .*no such option/, key)
  }
  assert.equal(({} as Record<string, unknown>).polluted, undefined)
})

test('config: an unknown key is a problem even without a value', () => {
  assert.deepEqual(problemsOf({ file: file('backlog:\nnet:\n  memry: null\n') }), [
    'a.yaml:1: backlog: no such option',
    'a.yaml:3: net.memry: no such option (did you mean net.memory?)',
  ])
})

test('config: a key may be written with dots in the file too', () => {
  const { config, origins } = loadConfig({ options, file: file('net.backlog: 5\nnet.sniff: { bytes: 1KiB }\n') })
  assert.deepEqual([config.net.backlog, config.net.sniff.bytes], [5, 1024])
  assert.equal(origins.get('net.sniff.bytes'), 'a.yaml:2')
})

test('config: a service written without `services.` is named in full', () => {
  assert.deepEqual(problemsOf({ flags: ['echo.tcp.port=1', 'services.echo.tcp=1'] }), [
    'flag: echo.tcp.port: no such option (did you mean services.echo.tcp.port?)',
    'flag: services.echo.tcp: no such option (it is a section)',
  ])
})

test('config: Kubernetes service variables are nobody’s options', () => {
  const environment = {
    POLYLOOP_CONFIG: 'x.yaml',
    POLYLOOP_SERVICE_HOST: '10.0.0.1',
    POLYLOOP_SERVICE_PORT: '8085',
    POLYLOOP_SERVICE_PORT_WS: '8085',
    POLYLOOP_PORT: 'tcp://10.0.0.1:8085',
    POLYLOOP_PORT_8085_TCP_ADDR: '10.0.0.1',
  }
  assert.deepEqual(problemsOf({ environment }), [])
  assert.equal(problemsOf({ environment: { POLYLOOP_SERVICES_ECHO_PORT: '1' } }).length, 1)
})

test('config: REDIS_URL sets bridge.redis.url, and our own name counts more', () => {
  const url = 'redis://127.0.0.1:6379'
  const first = loadConfig({
    options,
    file: file('bridge: { redis: { url: redis://file } }'),
    environment: { REDIS_URL: url },
  })
  assert.equal(first.config.bridge.redis.url, url)
  assert.equal(first.origins.get('bridge.redis.url'), 'env REDIS_URL')
  const both = { REDIS_URL: url, POLYLOOP_BRIDGE_REDIS_URL: 'redis://own' }
  assert.equal(loadConfig({ options, environment: both }).config.bridge.redis.url, 'redis://own')
  assert.deepEqual(problemsOf({ environment: { REDIS_URL: 'http://x' } }), [
    'env REDIS_URL: bridge.redis.url: must be redis://host:port, redis+sentinel://host:port,…/master or redis+cluster://host:port,… (rediss: with TLS) (value not shown)',
  ])
})

test('config: TLS files come as a map or one by one, from any source, and must be readable', () => {
  const environment = { POLYLOOP_SERVICES_ECHO_TCP_TLS_KEY: here }
  const { config, origins } = loadConfig({
    options,
    file: file(`services: { echo: { tcp: { tls: { cert: ${here} } } } }`),
    environment,
    flags: [`services.echo.ws.tls.cert=${here}`, `services.echo.ws.tls.key=${here}`],
  })
  assert.deepEqual(config.services.echo.tcp.tls, { cert: here, key: here })
  assert.deepEqual(config.services.echo.ws.tls, { cert: here, key: here })
  assert.equal(origins.get('services.echo.tcp.tls'), 'env POLYLOOP_SERVICES_ECHO_TCP_TLS_KEY')
  assert.match(problemsOf({ environment })[0] ?? '', /must be cert and key/)
  assert.match(
    problemsOf({ file: file('services: { echo: { tcp: { tls: true } } }') })[0] ?? '',
    /must be cert and key/,
  )
  assert.deepEqual(problemsOf({ environment, flags: ['services.echo.tcp.tls.cert=/no/such.pem'] }), [
    'flag: services.echo.tcp.tls: cert: the file /no/such.pem cannot be read',
  ])
})

test('config: relations between options', () => {
  const cases: [string[], string][] = [
    [['net.sendBuffer.high=20MiB'], 'flag: net.sendBuffer.high: 20MiB is above net.sendBuffer.max (10MiB)'],
    [['net.sendBuffer.max=1KiB'], 'flag: net.sendBuffer.max: 1KiB is below net.sendBuffer.high (1MiB)'],
    [['heap.refuseAt=0.95'], 'flag: heap.refuseAt: 0.95 is above heap.replaceAt (0.92)'],
    [['shard.restartBackoff.min=11s'], 'flag: shard.restartBackoff.min: 11s is above shard.restartBackoff.max (10s)'],
    [['ring.overflow=1KiB'], 'flag: ring.overflow: 1KiB is below ring.messageMax (1MiB)'],
    [['shard.hangLimit=999ms'], 'flag: shard.hangLimit: 999ms is neither 0 nor at least 1s'],
    [['bridge.kind=redis'], 'flag: bridge.kind: redis needs bridge.redis.url, or REDIS_URL in the environment'],
    [['bridge.redis.backoff.min=6s'], 'flag: bridge.redis.backoff.min: 6s is above bridge.redis.backoff.max (5s)'],
    [
      ['store.kind=redis'],
      'flag: store.kind: redis needs the redis bridge: set bridge.redis.url, or REDIS_URL in the environment',
    ],
    [
      ['store.kind=redis', 'bridge.redis.url=redis+cluster://127.0.0.1'],
      'flag: store.kind: redis does not work with redis+cluster://: ids rise over all chats, so they live in one place',
    ],
    [['store.redis.replicas=1'], 'flag: store.redis.replicas: counts only with store.redis.ack: disk'],
    [['modules=/no/such.ts'], 'flag: modules: the file /no/such.ts cannot be read'],
    [['services.echo.ws.port=8084'], 'flag: services.echo.ws.port: 8084 is also services.echo.tcp.port'],
    [['services.echo.ws.port=9464'], 'flag: services.echo.ws.port: 9464 is also admin.port'],
  ]
  for (const [flags, problem] of cases) assert.deepEqual(problemsOf({ flags }), [problem])
})

test('config: at the bound of a relation all is well', () => {
  const fine = [
    ['net.sendBuffer.high=10MiB'],
    ['heap.refuseAt=0.92'],
    ['shard.hangLimit=0'],
    ['store.kind=redis', 'bridge.redis.url=redis+sentinel://127.0.0.1/mymaster'],
    ['store.redis.ack=disk', 'store.redis.replicas=1'],
    ['shard.hangLimit=1s'],
    ['services.echo.ws.port=8084', 'services.echo.ws.host=127.0.0.2'],
    ['services.echo.ws.port=8084', 'services.echo.enabled=false'],
    ['services.echo.ws.port=0', 'services.echo.tcp.port=0', 'admin.port=0'],
  ]
  for (const flags of fine) assert.deepEqual(problemsOf({ flags }), [], flags.join(' '))
})

test('config: a file that cannot be read, or is far too large, is one problem', () => {
  for (const path of ['/no/such.yaml', '/dev']) {
    assert.throws(() => readConfigFile(path), { code: 'CONFIG_INVALID' }, path)
  }
  assert.throws(() => readConfigFile(process.execPath), new RegExp(`more than ${FILE_BYTES_MAX}`))
})

test('option table: contradictions are refused when it is defined', () => {
  const row = option(boolean(), true, 'x')
  assert.throws(() => defineOptions({ a: row, 'a.b': row }), /a is not also a section/)
  assert.throws(() => defineOptions({ 'a.b': row, 'a-b': row }), /only one option is named POLYLOOP_A_B/)
  assert.throws(() => option(boolean(), 'maybe', 'x'), /default maybe is true or false/)
  assert.throws(() => option(boolean(), undefined, 'x'), /only an optional option/)
})

test('secrets: are in no problem and in no printed text', () => {
  const word = 'swordfish-swordfish'
  const rows = defineOptions({
    'a.token': option(optional(secret({ minBytes: 8 })), undefined, 'x'),
    'a.url': option(optional(url(['redis:'])), undefined, 'x'),
    'a.other': option(boolean(), true, 'x'),
  })
  const flags = [`a.token=${word}`, `a.url=redis://user:${word}@host:1/2`]
  const { config, origins } = loadConfig({ options: rows, flags })
  assert.equal(config.a.token, word)
  const yaml = effectiveYaml(rows, config, origins)
  assert.equal(
    yaml,
    'a:\n  token: "***"  # flag\n  url: "redis://user:***@host:1/2"  # flag\n  other: true  # default\n',
  )
  const changed = changedValues(rows, config, origins)
  assert.deepEqual(changed, { 'a.token': '"***"', 'a.url': '"redis://user:***@host:1/2"' })

  const problems = problemsOf({ options: rows, flags: [`a.token=${word.repeat(300)}`, `a.url=http://${word}`] })
  assert.equal(problems.length, 2)
  for (const text of [yaml, ...problems, JSON.stringify(changed)]) assert.ok(!text.includes('swordfish'), text)
})

test('config: any file, environment and flags load or give problems, and never anything else', () => {
  const key = fc.constantFrom(...Object.keys(options), 'net', 'x', 'net.x', 'services.echo.tcp.tls.cert')
  const value = fc.oneof(
    fc.string(),
    fc.constantFrom('1', '0', 'true', '5s', '1MiB', 'auto', '{a: 1}', '[1]', '&a *a', '!!int x', '? x'),
  )
  const yaml = fc.oneof(
    fc.string(),
    fc.array(fc.tuple(key, value), { maxLength: 5 }).map((pairs) =>
      pairs
        .map(([name, raw]) =>
          name
            .split('.')
            .map((part, depth) => `${'  '.repeat(depth)}${part}:`)
            .join('\n')
            .concat(` ${raw}`),
        )
        .join('\n'),
    ),
  )
  const flags = fc.array(
    fc.tuple(key, value).map((pair) => pair.join('=')),
    { maxLength: 4 },
  )
  const environment = fc.dictionary(
    fc.constantFrom('POLYLOOP_SHARDS', 'POLYLOOP_X', 'REDIS_URL', 'POLYLOOP_ADMIN_HOSTS'),
    value,
  )
  fc.assert(
    fc.property(yaml, flags, environment, (text, set, variables) => {
      problemsOf({ file: file(text), flags: set, environment: variables })
    }),
    { numRuns: 300 },
  )
})
