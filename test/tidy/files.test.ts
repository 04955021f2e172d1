import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'

const root = new URL('../..', import.meta.url).pathname
const sources = globSync(['src/**/*.ts', 'workers/*.ts'], { cwd: root })
const all = [...sources, ...globSync(['test/**/*.ts', 'bench/**/*.ts', 'examples/**/*.ts'], { cwd: root })]
const LINES_MAX = 500
const ENTRY_LINES_MAX = 60
const VAGUE = new Set(['utils', 'helpers', 'common', 'misc', 'types'])

function linesOf(file: string): string[] {
  return readFileSync(join(root, file), 'utf8').split('\n')
}

// What is built is nobody's to read.
const clients = globSync(['clients/**/*.ts', 'clients/**/*.py'], {
  cwd: root,
  exclude: ['**/dist/**', '**/node_modules/**'],
})

test('files: none is over 500 lines, and an entry point stays under 60', () => {
  assert.ok(clients.some((file) => file.endsWith('.py')) && clients.some((file) => file.endsWith('.ts')))
  const long = [...all, ...clients].filter(
    (file) => linesOf(file).length > (file.startsWith('workers/') ? ENTRY_LINES_MAX : LINES_MAX),
  )
  assert.deepEqual(long, [])
})

test('files: names are kebab-case nouns', () => {
  const odd = all.filter((file) => {
    const name = basename(file).replace(/(\.test|\.bench|\.fuzz)?\.ts$/, '')
    return !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) || VAGUE.has(name)
  })
  assert.deepEqual(odd, [])
})

test('files: each source opens with a comment that says what it is', () => {
  const silent = sources.filter((file) => !/^(#!.*\n)?(\/\/|\/\*)/.test(linesOf(file).join('\n')))
  assert.deepEqual(silent, [])
})

test('files: no any, no EventEmitter, no enum, and no mention of what is outside the project', () => {
  const wrong: string[] = []
  for (const file of sources) {
    for (const [index, line] of linesOf(file).entries()) {
      if (/\bas any\b|: any\b|\bextends EventEmitter\b|^\s*(export )?enum /.test(line))
        wrong.push(`${file}:${index + 1}`)
    }
  }
  const outside = ['..', 'shared'].join('/')
  for (const file of [...all, ...globSync(['docs/**/*.md', '*.md', 'config/*'], { cwd: root })]) {
    if (linesOf(file).some((line) => line.includes(`${outside}/`))) wrong.push(`${file} mentions ${outside}`)
  }
  assert.deepEqual(wrong, [])
})
