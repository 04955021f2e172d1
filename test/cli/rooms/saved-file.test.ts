import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { numbered, openSaveDirectory, SavedFile, safeNameOf } from '../../../src/cli/rooms/saved-file.ts'
import { Folder } from './folder.ts'

test('saved file: the name is a base name that a file may have', () => {
  const names = [
    ['a.txt', 'a.txt'],
    ['/etc/passwd', 'passwd'],
    ['..\\..\\b.txt', 'b.txt'],
    ['..', 'file'],
    ['.', 'file'],
    ['...', 'file'],
    ['', 'file'],
    ['a/', 'file'],
    ['  ', 'file'],
    ['.profile', '_profile'],
    ['..x', '__x'],
    ['a\nb\u0000c:d\u202etxt', 'a_b_c_d_txt'],
    ['CON', '_CON'],
    ['nul.txt', '_nul.txt'],
    ['com1', '_com1'],
    ['console.log', 'console.log'],
    ['\ud800.txt', '\ufffd.txt'],
    ['日本.txt', '日本.txt'],
  ] as const
  for (const [given, safe] of names) assert.equal(safeNameOf(given, 'file'), safe, JSON.stringify(given))
})

test('saved file: a number goes in front of the extension, and the whole stays within 255 bytes', () => {
  assert.equal(numbered('a.txt', 1), 'a (1).txt')
  assert.equal(numbered('archive.tar.gz', 2), 'archive.tar (2).gz')
  assert.equal(numbered('README', 3), 'README (3)')
  assert.equal(numbered(`a.${'x'.repeat(40)}`, 1), `a.${'x'.repeat(40)} (1)`)
  assert.equal(numbered(`${'a'.repeat(300)}.txt`, 12), `${'a'.repeat(246)} (12).txt`)
  // 126 characters of two bytes, and not half of another one.
  assert.equal(numbered(`${'ä'.repeat(200)}.x`, 0), `${'ä'.repeat(126)}.x`)
  assert.equal(numbered('b'.repeat(255), 0), 'b'.repeat(255))
})

test('saved file: no name leads out of the directory, whatever it is', () => {
  const character = fc.oneof(fc.constantFrom('.', '/', '\\', ':', ' ', '\u0000', '\u001b', '\u202e', 'a'), fc.string())
  fc.assert(
    fc.property(fc.array(character, { maxLength: 400 }), (parts) => {
      const name = safeNameOf(parts.join(''), 'file')
      assert.equal(basename(join('/d', name)), name)
      assert.equal(join('/d', name), `/d/${name}`)
      assert.doesNotMatch(name, /[\u0000-\u001f\u007f-\u009f/\\]|^\./)
      assert.ok(Buffer.byteLength(name) >= 1 && Buffer.byteLength(name) <= 255)
    }),
  )
})

test('saved file: is whole, or not there', async () => {
  using folder = new Folder()
  const directory = await openSaveDirectory(join(folder.path, 'new', 'one'))
  const kept = await SavedFile.create(directory, 'a.txt')
  const lost = await SavedFile.create(directory, 'a.txt')
  await kept.write(Buffer.from('one '))
  await kept.write(Buffer.from('two'))
  await lost.write(Buffer.from('half'))
  assert.equal(lost.name, 'a (1).txt')
  await kept.finish()
  await lost.discard()
  assert.deepEqual(readdirSync(directory), ['a.txt'])
  assert.equal(readFileSync(join(directory, 'a.txt'), 'utf8'), 'one two')
})

test('saved file: a directory is in the way of a file, a file in the way of the directory', async () => {
  using folder = new Folder()
  mkdirSync(join(folder.path, 'a'))
  const file = await SavedFile.create(folder.path, 'a')
  await file.finish()
  assert.equal(file.name, 'a (1)')
  writeFileSync(join(folder.path, 'taken'), '')
  await assert.rejects(openSaveDirectory(join(folder.path, 'taken')), { code: 'EEXIST' })
  assert.ok(existsSync(file.path))
})
