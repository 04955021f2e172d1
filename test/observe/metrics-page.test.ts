import assert from 'node:assert/strict'
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { AT_START, FAMILIES, type Family } from '../../src/observe/family.ts'

const root = new URL('../..', import.meta.url).pathname
const PAGE = 'docs/METRICS.md'
const INTRODUCTION = `# Metrics

<!-- Generated from the family tables in the code. To update: UPDATE=1 node test/observe/metrics-page.test.ts -->

\`GET /metrics\` of the admin endpoint, Prometheus text format 0.0.4. Every series also has the label \`shard\`: the number of a shard, or
\`main\`, \`acceptor\`, \`bridge\`, \`store\` for the other threads. Label values come from the sets below; whatever else turns up is counted as
\`other\`. No label carries an address, a client or session id, or free text. Core figures live in shared memory, so they stay
on the page while a thread hangs (\`polyloop_shard_up\` is 0 then).
`

/** Every family table of the code: the runtime's, then those that services export as `…_FAMILIES`. */
async function tables(): Promise<[string, readonly Family[]][]> {
  const found: [string, readonly Family[]][] = [['The runtime', Object.values(FAMILIES)]]
  for (const file of globSync('src/services/**/*.ts', { cwd: root }).sort()) {
    const [, table] = /^export const (\w+_FAMILIES)\b/m.exec(readFileSync(join(root, file), 'utf8')) ?? []
    if (table === undefined) continue
    const module = (await import(join(root, file))) as Readonly<Record<string, Readonly<Record<string, Family>>>>
    found.push([`Service ${file.split('/')[2]}`, Object.values(module[table] ?? {})])
  }
  return found
}

async function page(): Promise<string> {
  const sections = (await tables()).map(([title, families]) => {
    const rows = families.map(({ name, type, labels, help, buckets }) => {
      const sets = Object.entries(labels).map(([label, set]) => {
        const values = set === AT_START ? 'known at start' : set.map((value) => `\`${value}\``).join(', ')
        return `\`${label}\`: ${values}`
      })
      const bounds = buckets === undefined ? '' : ` Buckets: ${buckets.join(', ')}.`
      return `| \`${name}\` | ${type} | ${sets.join('; ') || '–'} | ${help}${bounds} |`
    })
    return [`\n## ${title}\n`, '| Name | Type | Labels | Meaning |', '|---|---|---|---|', ...rows, ''].join('\n')
  })
  return INTRODUCTION + sections.join('')
}

test('metrics page: docs/METRICS.md says what the family tables say', async () => {
  const wanted = await page()
  if (process.env.UPDATE === '1') writeFileSync(join(root, PAGE), wanted)
  assert.equal(readFileSync(join(root, PAGE), 'utf8'), wanted, 'out of date: run it with UPDATE=1')
})

test('metrics page: no two families share a name', async () => {
  const names = (await tables()).flatMap(([, families]) => families.map(({ name }) => name))
  assert.equal(new Set(names).size, names.length)
})

test('dashboard: every metric it asks for exists, with the labels it asks for', async () => {
  const families = new Map((await tables()).flatMap(([, rows]) => rows.map((row) => [row.name, row])))
  const dashboard: unknown = JSON.parse(readFileSync(join(root, 'config/grafana-dashboard.json'), 'utf8'))
  const queries = stringsUnder(dashboard, new Set(['expr', 'query', 'definition']))
  let seen = 0
  for (const query of queries) {
    // A metric name, its selector if it has one.
    for (const [, name = '', selector = ''] of query.matchAll(/\b((?:polyloop|process)_[a-z_]+)(?:\{([^}]*)\})?/g)) {
      seen++
      const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''))
      assert.ok(family !== undefined, `${name} in: ${query}`)
      assert.equal(family.type === 'histogram', family.name !== name, `${name} in: ${query}`)
      for (const [, label = ''] of selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)) checkLabel(family, label, query)
    }
    const known = new Set([...families.values()].flatMap((family) => Object.keys(family.labels)))
    for (const [, labels = ''] of query.matchAll(/\b(?:by|without)\s*\(([^)]*)\)/g)) {
      for (const label of labels.split(',').map((part) => part.trim())) {
        assert.ok(['shard', 'le'].includes(label) || known.has(label), `label ${label} in: ${query}`)
      }
    }
  }
  assert.ok(seen > 20, `the dashboard's queries were found (${seen})`)
})

function checkLabel(family: Family, label: string, query: string): void {
  assert.ok(['shard', 'le', 'job', 'instance'].includes(label) || label in family.labels, `label ${label} in: ${query}`)
}

function stringsUnder(value: unknown, keys: ReadonlySet<string>): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) =>
    typeof inner === 'string' && keys.has(key) ? [inner] : stringsUnder(inner, keys),
  )
}
