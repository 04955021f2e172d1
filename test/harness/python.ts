// A Python that has `websockets`: one that has it already, or one that it can be installed for, beside node_modules, where
// it is found again the next time.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { requireProgram } from './program.ts'

const ROOT = join(import.meta.dirname, '../..')
const INSTALL_MS_MAX = 120_000
const LOOK_MS_MAX = 20_000
/** Prints the folder for what is installed for this very Python, and fails when `websockets` is missing or too old. */
const QUESTION = `
import sys
sys.path.insert(0, sys.argv[1] + '/python-%d.%d' % sys.version_info[:2])
print(sys.path[0])
assert sys.version_info >= (3, 9)
import websockets.version
assert int(websockets.version.version.split('.')[0]) >= 10
`

export interface Python {
  readonly path: string
  /** For its process: where `websockets` and the client are. */
  readonly environment: Readonly<Record<string, string>>
}

/** Throws, in one line, when there is none and none can be installed. */
export function requirePython(): Python {
  const path = requireProgram({ names: ['python3'], aptPackage: 'python3-websockets', what: 'Python 3.9 or later' })
  const found = look(path) ?? installed(path)
  if (found !== undefined) return found
  // Debian has both as packages, for the Python that comes with it.
  if (process.platform === 'linux' && process.getuid?.() === 0) {
    const command = 'apt-get update && apt-get install -y python3 python3-websockets'
    spawnSync('sh', ['-c', command], { stdio: 'ignore', timeout: INSTALL_MS_MAX })
    const debian = look('/usr/bin/python3')
    if (debian !== undefined) return debian
  }
  throw new Error(
    'this test needs the Python package websockets (10 or later): run `python3 -m pip install websockets`',
  )
}

function look(path: string): Python | undefined {
  const { status, stdout } = ask(path)
  return status === 0 ? pythonOf(path, stdout.trim()) : undefined
}

function installed(path: string): Python | undefined {
  const folder = ask(path).stdout.trim()
  if (folder === '') return undefined
  // Into a folder of its own: the Python of the system stays as it is.
  const options = ['--quiet', '--disable-pip-version-check', '--retries', '1', '--timeout', '10', '--target', folder]
  const line = ['-m', 'pip', 'install', ...options, 'websockets>=10']
  spawnSync(path, line, { stdio: 'ignore', timeout: INSTALL_MS_MAX })
  return look(path)
}

function ask(path: string): { readonly status: number | null; readonly stdout: string } {
  const folder = join(ROOT, 'node_modules/.cache')
  const { status, stdout } = spawnSync(path, ['-c', QUESTION, folder], { encoding: 'utf8', timeout: LOOK_MS_MAX })
  return { status, stdout: stdout ?? '' }
}

function pythonOf(path: string, folder: string): Python {
  const client = join(ROOT, 'clients/python')
  assert.ok(folder.includes('python-'), folder)
  return { path, environment: { PYTHONPATH: `${client}:${folder}`, PYTHONDONTWRITEBYTECODE: '1', PYTHONUTF8: '1' } }
}
