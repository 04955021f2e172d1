import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { test } from 'node:test'
import { COMMANDS } from '../../src/cli/registry.ts'
import { LAYERS } from './layers.ts'

const root = new URL('../..', import.meta.url).pathname
const pages = globSync(['*.md', 'docs/*.md', 'docs/decisions/*.md'], { cwd: root }).sort()

function read(page: string): string {
  return readFileSync(join(root, page), 'utf8')
}

/** Targets of links and pictures: paths from the root, and the anchor behind them. */
function linksOf(page: string): { readonly path: string; readonly anchor: string }[] {
  const text = read(page).replace(/^( {4}|```[\s\S]*?^```).*$/gm, '')
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [path = '', anchor = ''] = target.split('#')
      return { path: path === '' ? page : normalize(join(dirname(page), path)), anchor }
    })
}

/** As GitHub makes them of headings. */
function anchorsOf(page: string): Set<string> {
  const headings = [...read(page).matchAll(/^#+ +(.+)$/gm)]
  const anchorOf = (heading: string): string =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-')
  return new Set(headings.map(([, heading = '']) => anchorOf(heading)))
}

test('docs: every link resolves, and so does its anchor', () => {
  assert.ok(pages.length > 10 && linksOf('README.md').length > 15, 'pages and links were found')
  const broken = pages.flatMap((page) =>
    linksOf(page)
      .filter(({ path, anchor }) => !existsSync(join(root, path)) || (anchor !== '' && !anchorsOf(path).has(anchor)))
      .map(({ path, anchor }) => `${page}: ${path}${anchor === '' ? '' : `#${anchor}`}`),
  )
  assert.deepEqual(broken, [])
})

test('docs: every page is reachable from the README', () => {
  const reached = new Set(['README.md'])
  for (const page of reached) {
    for (const { path } of linksOf(page)) {
      const isFolder = statSync(join(root, path), { throwIfNoEntry: false })?.isDirectory() === true
      const found = isFolder ? globSync('*.md', { cwd: join(root, path) }).map((name) => join(path, name)) : [path]
      for (const one of found) if (one.endsWith('.md')) reached.add(relative('.', one))
    }
  }
  assert.deepEqual(
    pages.filter((page) => !reached.has(page)),
    [],
  )
})

test('docs: the commands of the README and the guides exist', () => {
  const scripts = Object.keys((JSON.parse(read('package.json')) as { scripts: object }).scripts)
  const commands = COMMANDS.map(({ name }) => name)
  const guides = pages.filter((page) => !page.startsWith('docs/decisions/') && page !== 'docs/CONFIG.md')
  const unknown: string[] = []
  let count = 0
  for (const page of guides) {
    // What stands in code, indented or between backquotes.
    const code = [...read(page).matchAll(/^ {4}.*$|```[\s\S]*?```|`[^`\n]+`/gm)].map(([text]) => text).join('\n')
    for (const [line, , script = 'test'] of code.matchAll(/\bnpm (start|test)\b|\bnpm run (?:--silent )?([a-z:]+)/g)) {
      count++
      if (!scripts.includes(line.startsWith('npm run') ? script : line.slice('npm '.length)))
        unknown.push(`${page}: ${line}`)
    }
    for (const [line, command = ''] of code.matchAll(/(?<=^ *|[`&;|] *|npx )polyloop ([a-z][a-z-]*)/gm)) {
      count++
      if (!commands.includes(command)) unknown.push(`${page}: ${line}`)
    }
  }
  assert.ok(count > 20, `${count} commands were looked at`)
  assert.deepEqual(unknown, [])
})

test('docs: ARCHITECTURE names every folder of src/, and the layers as the table has them', () => {
  const page = read('docs/ARCHITECTURE.md')
  const folders = globSync('src/*/', { cwd: root }).map((path) => path.split('/')[1] ?? '')
  for (const folder of folders) assert.ok(page.includes(`| \`src/${folder}/\` |`), folder)
  const rows = page.slice(page.indexOf('| A folder of `src/` |')).split('\n').slice(2)
  const told = rows.slice(0, rows.indexOf('')).map((row) => row.split('|')[1] ?? '')
  const named = told.flatMap((cell) => [...cell.matchAll(/`([a-z]+)`/g)].map(([, name = '']) => name))
  assert.deepEqual(named.toSorted(), folders.filter((folder) => folder in LAYERS).toSorted())
})

test('docs: ADMIN has every route, and OPERATIONS every log event', () => {
  const admin = read('docs/ADMIN.md')
  const routes = [...read('src/observe/admin-server.ts').matchAll(/app\.(get|post)\('([^']+)'/g)]
  assert.ok(routes.length > 5)
  for (const [, method = '', path = ''] of routes)
    assert.ok(admin.includes(`| \`${method.toUpperCase()} ${path}\` |`), path)
  const operations = read('docs/OPERATIONS.md')
  const sources = globSync('src/**/*.ts', { cwd: root }).map(read).join('\n')
  const logged = [...sources.matchAll(/\.(?:debug|info|warn|error|limited)\(\s*'([a-z]+\.[a-z_]+)'/g)].map(([, e]) => e)
  const [, table = ''] = /\| Event \| Means \|\n([\s\S]*)/.exec(operations) ?? []
  const told = [...table.matchAll(/`([a-z]+\.[a-z_]+)`/g)].map(([, event]) => event)
  assert.deepEqual([...new Set(told)].toSorted(), [...new Set(logged)].toSorted())
})
