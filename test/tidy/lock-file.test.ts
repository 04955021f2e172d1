import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

interface Locked {
  readonly version?: string
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const lockFile = new URL('../../package-lock.json', import.meta.url)

// npm leaves packages for other platforms out of the lock file when it cannot see them, and `npm ci` then refuses.
test('lock file: names every optional dependency, for whatever platform', () => {
  const { packages } = JSON.parse(readFileSync(lockFile, 'utf8')) as { packages: Record<string, Locked> }
  const missing: string[] = []
  for (const [owner, { optionalDependencies }] of Object.entries(packages)) {
    for (const name of Object.keys(optionalDependencies ?? {})) {
      const nested = `${owner}/node_modules/${name}`
      if (packages[nested] === undefined && packages[`node_modules/${name}`] === undefined) missing.push(name)
    }
  }
  assert.deepEqual(missing, [])
})
