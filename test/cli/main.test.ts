import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { CommandModule, CommandRow } from '../../src/cli/command.ts'
import { COMMANDS } from '../../src/cli/registry.ts'
import { ConfigProblem } from '../../src/config/problem.ts'
import { PolyloopError } from '../../src/lib/errors.ts'
import { runCommand } from './capture.ts'

const root = join(import.meta.dirname, '../..')

/** Command rows that note which of them were loaded. */
function rowsOf(modules: Record<string, CommandModule>): { rows: CommandRow[]; loaded: string[] } {
  const loaded: string[] = []
  const rows = Object.entries(modules).map(([name, module]) => ({
    name,
    summary: `does ${name}`,
    load: () => {
      loaded.push(name)
      return Promise.resolve(module)
    },
  }))
  return { rows, loaded }
}

const greet: CommandModule = {
  register: (command, context) => {
    command
      .argument('<name>')
      .option('--two-words <text>', 'x', '-')
      .option('--fail')
      .action((name: string, given: { twoWords: string; fail?: boolean }) => {
        if (given.fail) context.setStatus(1)
        if (name === 'nobody') {
          context.stderr.write('greet: there is no nobody\n')
          context.setStatus(2)
          return
        }
        context.stdout.write(`${name} ${given.twoWords}\n`)
      })
  },
}

const raise: CommandModule = {
  register: (command) => {
    command.argument('<what>').action((what: string) => {
      if (what === 'bug') throw new RangeError('a bug')
      if (what === 'code') throw new PolyloopError('RUNTIME_CLOSED', { shard: 1 })
      const problems = [new ConfigProblem('a.b', 'flag', 'x'), new ConfigProblem('', 'f:1', 'y')]
      throw new PolyloopError('CONFIG_INVALID', { problems })
    })
  },
}

const { rows, loaded } = rowsOf({ greet, 'raise-it': raise })

test('command line: option names and values reach the action in every spelling', async () => {
  for (const option of [['--two-words', 'v'], ['--two_words=v'], ['--two-words==v']]) {
    assert.deepEqual(await runCommand(['greet', 'ada', ...option], {}, rows), {
      status: 0,
      stdout: 'ada v\n',
      stderr: '',
    })
  }
})

test('command line: only the chosen command is loaded', async () => {
  loaded.length = 0
  assert.equal((await runCommand(['--help'], {}, rows)).status, 0)
  assert.deepEqual(loaded, [])
  await runCommand(['raise_it', 'code'], {}, rows)
  assert.deepEqual(loaded, ['raise-it'])
  assert.match((await runCommand(['help', 'greet'], {}, rows)).stdout, /--two-words/)
})

test('command line: help is on stdout with status 0, everywhere', async () => {
  for (const line of [['--help'], ['-h'], ['greet', '--help'], ['help'], ['help', 'greet']]) {
    const { status, stdout, stderr } = await runCommand(line, {}, rows)
    assert.deepEqual([status, stderr, stdout.startsWith('Usage: polyloop')], [0, '', true], line.join(' '))
  }
})

test('command line: a usage error is 2, with the usage on stderr', async () => {
  for (const line of [
    [],
    ['nothing'],
    ['greet'],
    ['greet', 'a', 'b'],
    ['greet', 'a', '--nothing'],
    ['greet', 'a', '--two-words'],
  ]) {
    const { status, stdout, stderr } = await runCommand(line, {}, rows)
    assert.deepEqual([status, stdout], [2, ''], line.join(' '))
    assert.match(stderr, /Usage: polyloop/, line.join(' '))
  }
})

test('command line: whoever refuses a line, it is told where there is help', async () => {
  const hint = 'Usage: polyloop greet [options] <name>\ntry: polyloop greet --help\n'
  assert.equal((await runCommand(['greet', 'nobody'], {}, rows)).stderr, `greet: there is no nobody\n${hint}`)
  assert.equal((await runCommand(['greet', 'ada', '--x'], {}, rows)).stderr, `error: unknown option '--x'\n${hint}`)
  const { stderr } = await runCommand(['great'], {}, rows)
  assert.match(stderr, /^error: unknown command 'great'\n[\s\S]*Usage: polyloop .*\ntry: polyloop --help\n$/)
})

test('command line: a failure is 1, reported once, with its code or all its problems', async () => {
  assert.deepEqual(await runCommand(['greet', 'a', '--fail'], {}, rows), { status: 1, stdout: 'a -\n', stderr: '' })
  assert.deepEqual(await runCommand(['raise-it', 'code'], {}, rows), {
    status: 1,
    stdout: '',
    stderr: 'polyloop: the runtime is closed (shard=1) [RUNTIME_CLOSED]\n',
  })
  const { stderr } = await runCommand(['raise-it', 'problems'], {}, rows)
  assert.equal(stderr, 'polyloop: flag: a.b: x\npolyloop: f:1: y\n')
  const bug = await runCommand(['raise-it', 'bug'], {}, rows)
  assert.equal(bug.status, 1)
  assert.match(bug.stderr, /^polyloop: RangeError: a bug\n.*main\.test\.ts/s)
})

test('command line: --version is the version of the package', async () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  assert.deepEqual(await runCommand(['--version']), { status: 0, stdout: `${version}\n`, stderr: '' })
})

for (const row of COMMANDS) {
  test(`command ${row.name}: has a file that registers it, and help`, async () => {
    const { status, stdout, stderr } = await runCommand([row.name, '--help'])
    assert.deepEqual([status, stderr], [0, ''])
    assert.ok(stdout.startsWith(`Usage: polyloop ${row.name}`), stdout)
  })
}
