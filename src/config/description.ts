// Texts that are made from the rows: config/default.yaml, docs/CONFIG.md and `polyloop config print`.
import { environmentName, type OptionRows } from './option.ts'

const WIDTH = 120

/** The YAML of a table of rows: every key with its sentence and bound, at its default. */
export function defaultYaml(rows: OptionRows): string {
  const head = [
    '# Every option at its default. Generated from the option rows: a change here is overwritten, copy what you need.',
    '# A later source wins: this file, then the environment (net.sendBuffer.max is POLYLOOP_NET_SENDBUFFER_MAX),',
    '# then flags (--set net.sendBuffer.max=20MiB). A duration without a unit is in seconds, a size in bytes.',
  ]
  const body = yamlLines(treeOf(rows), 0, (key, name, indent) => {
    const row = rows[key]
    if (row === undefined) return []
    const comment = [...wrapped(row.text, `${indent}#`), ...wrapped(`Accepts ${row.kind.accepts}.`, `${indent}#`)]
    return [...comment, `${indent}${name}: ${row.kind.encode(row.default)}`]
  })
  return `${[...head, ...body].join('\n')}\n`
}

/** The effective configuration as YAML, each value with its origin; secrets are masked. */
export function effectiveYaml(rows: OptionRows, config: object, origins: ReadonlyMap<string, string>): string {
  const lines = yamlLines(treeOf(rows), 0, (key, name, indent) => [
    `${indent}${name}: ${shownValue(rows, config, key)}  # ${origins.get(key) ?? 'default'}`,
  ])
  return `${lines.join('\n').trimStart()}\n`
}

/** One flat object for one log line: only what is not at its default, secrets masked. */
export function changedValues(
  rows: OptionRows,
  config: object,
  origins: ReadonlyMap<string, string>,
): Record<string, string> {
  const changed = Object.keys(rows).filter((key) => (origins.get(key) ?? 'default') !== 'default')
  return Object.fromEntries(changed.map((key) => [key, shownValue(rows, config, key)]))
}

/** The text of docs/CONFIG.md: one table per section, one per service. */
export function configPage(rows: OptionRows): string {
  const sections = new Map<string, string[]>()
  for (const [key, row] of Object.entries(rows)) {
    const parts = key.split('.')
    const section = parts.length === 1 ? 'top level' : parts.slice(0, parts[0] === 'services' ? 2 : 1).join('.')
    const lines = sections.get(section) ?? []
    lines.push(`| \`${key}\` | \`${row.kind.encode(row.default)}\` | ${cell(row.kind.accepts)} | ${cell(row.text)} |`)
    sections.set(section, lines)
  }
  const example = 'net.sendBuffer.max'
  const tables = [...sections].map(
    ([section, lines]) =>
      `## ${section}\n\n| Key | Default | Accepts | Meaning |\n|---|---|---|---|\n${lines.join('\n')}\n`,
  )
  return `# Configuration

Generated from the option rows in \`src/config/\` and of the services; \`test/config/generated.test.ts\` keeps it so.

One YAML file (\`polyloop start --config FILE\`, or \`POLYLOOP_CONFIG\`), then the environment, then flags; a later one wins. A key such as
\`${example}\` is nested in the file, \`${environmentName(example)}\` in the environment (an empty variable counts as not set), and
\`--set ${example}=20MiB\` as a flag. Durations are numbers of seconds or \`250ms\`, \`10s\`, \`5m\`, \`2h\`; sizes are numbers of bytes or
\`64KiB\`, \`1MiB\`, \`1GiB\`; lists may be one string with commas. \`null\` means the default.

\`polyloop config check FILE\` reports all problems at once; \`polyloop config print\` shows every value and where it comes from.
\`config/default.yaml\` has every key at its default.

${tables.join('\n')}`
}

type Tree = Map<string, Tree | string>
type LeafLines = (key: string, name: string, indent: string) => string[]

/** An empty line before each top-level key or section. */
function yamlLines(branch: Tree, depth: number, leaf: LeafLines): string[] {
  const indent = '  '.repeat(depth)
  return [...branch].flatMap(([name, child]) => [
    ...(depth === 0 ? [''] : []),
    ...(typeof child === 'string'
      ? leaf(child, name, indent)
      : [`${indent}${name}:`, ...yamlLines(child, depth + 1, leaf)]),
  ])
}

function treeOf(rows: OptionRows): Tree {
  const root: Tree = new Map()
  for (const key of Object.keys(rows)) {
    const names = key.split('.')
    const last = names.pop() ?? key
    let branch = root
    for (const name of names) {
      const child = branch.get(name) ?? new Map()
      branch.set(name, child)
      if (typeof child === 'string') break // defineOptions() refuses such a table
      branch = child
    }
    branch.set(last, key)
  }
  return root
}

function shownValue(rows: OptionRows, config: object, key: string): string {
  let value: unknown = config
  for (const name of key.split('.')) value = (value as Record<string, unknown>)[name]
  const kind = rows[key]?.kind
  return kind?.mask?.(value) ?? kind?.encode(value) ?? ''
}

function wrapped(text: string, prefix: string): string[] {
  const lines: string[] = []
  let line = prefix
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = prefix
    }
    line += ` ${word}`
  }
  return [...lines, line]
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}
