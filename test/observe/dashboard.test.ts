import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ageText, bytesText, countText, secondsText, shareText } from '../../src/cli/figure-text.ts'
import { loadDashboard } from '../../src/observe/dashboard.ts'

const folder = join(import.meta.dirname, '../../src/observe/dashboard')
const TERMINAL = { countText, secondsText, bytesText, shareText, ageText }

test('dashboard: figures read on the page as they do in the terminal', async () => {
  // The page's files have no types.
  const page = (await import(join(folder, 'text.js'))) as Record<string, (value: number) => string>
  for (const [name, textOf] of Object.entries(TERMINAL)) {
    const differing: string[] = []
    for (let exponent = -7; exponent < 13; exponent += 0.01) {
      const value = 10 ** exponent
      if (page[name]?.(value) !== textOf(value)) differing.push(`${name}(${value})`)
    }
    assert.deepEqual([...differing, page[name]?.(0)], [textOf(0)])
  }
})

test('dashboard: serves every file of its folder, and what those files name', () => {
  const { page, parts } = loadDashboard()
  const own = globSync('*', { cwd: folder }).filter((name) => name !== 'index.html')
  assert.deepEqual([...parts.keys()].toSorted(), [...own, 'uplot.css', 'uplot.js'].toSorted())
  const scripts = own.filter((name) => name.endsWith('.js')).map((name) => readFileSync(join(folder, name), 'utf8'))
  const named = [...page.bytes.toString().matchAll(/(?:href|src)="dashboard\/([^"]+)"/g)]
  const imported = scripts.flatMap((text) => [...text.matchAll(/from '\.\/([^']+)'/g)])
  for (const [, name = ''] of [...named, ...imported]) assert.ok(parts.has(name), name)
  assert.ok(named.length >= 5 && imported.length >= 5)
})

test('dashboard: names no other host, and puts no text of a report into markup', () => {
  const { page, parts } = loadDashboard()
  const own = [page.bytes, ...[...parts].filter(([name]) => !name.startsWith('uplot')).map(([, { bytes }]) => bytes)]
  for (const bytes of own) {
    const text = bytes.toString().replaceAll('http://www.w3.org/2000/svg', '')
    assert.doesNotMatch(text, /https?:\/\/|innerHTML|insertAdjacentHTML|\beval\(|<script>|style="/)
  }
})
