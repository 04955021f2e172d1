import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { SpoolDirectory } from '../../src/services/rooms/spool-directory.ts'

test('spool directory: a sweep removes what processes left that are no more, and nothing else', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'polyloop-spool-'))
  try {
    const dead = String(spawnSync(process.execPath, ['--version']).pid)
    const kept = ['notes', String(process.pid), String(process.ppid)]
    for (const name of [dead, ...kept]) {
      await mkdir(join(folder, name))
      await writeFile(join(folder, name, '1-1'), 'private')
    }
    await new SpoolDirectory(folder, process.pid).sweep()
    assert.deepEqual((await readdir(folder)).toSorted(), kept.toSorted())
    for (const name of kept) assert.deepEqual(await readdir(join(folder, name)), ['1-1'])
    const nowhere = join(folder, 'nowhere')
    await new SpoolDirectory(nowhere, process.pid).sweep()
    assert.ok(!(await readdir(folder)).includes('nowhere'), 'it is made for the first content only')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
