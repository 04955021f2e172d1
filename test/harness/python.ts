// A Python that has the modules a test needs: one that has them already, or one that they can be installed for, beside
// node_modules, where they are found again the next time.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { requireProgram } from './program.ts'

const ROOT = join(import.meta.dirname, '../..')
const INSTALL_MS_MAX = 120_000
const LOOK_MS_MAX = 20_000
/** Prints the folder for what is installed for this very Python, and fails when a module is missing, or one is too old. */
const QUESTION = `
import importlib, sys
sys.path.insert(0, sys.argv[1] + '/python-%d.%d' % sys.version_info[:2])
print(sys.path[0])
assert sys.version_info >= (3, 9)
for name in sys.argv[2:]:
    importlib.import_module(name)
import websockets.version
assert int(websockets.version.version.split('.')[0]) >= 10
`

export interface Python {
  readonly path: string
  /** For its process: where the modules and the client are. */
  readonly environment: Readonly<Record<string, string>>
}

/** With `websockets` and `more`, modules that are called as their packages. Throws, in one line, when there is no way. */
export function requirePython(more: readonly string[] = []): Python {
  const modules = ['websockets', ...more]
  const packages = modules.map((name) => `python3-${name}`).join(' ')
  const path = requireProgram({ names: ['python3'], aptPackage: `python3 ${packages}`, what: 'Python 3.9 or later' })
  const found = look(path, modules) ?? installed(path, modules)
  if (found !== undefined) return found
  // Debian has them as packages, for the Python that comes with it.
  if (process.platform === 'linux' && process.getuid?.() === 0) {
    const command = `apt-get update && apt-get install -y python3 ${packages}`
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    spawnSync('sh', ['-c', command], { env: environment, stdio: 'ignore', timeout: INSTALL_MS_MAX })
    const debian = look('/usr/bin/python3', modules)
    if (debian !== undefined) return debian
  }
  throw new Error(`this test needs Python packages: run \`python3 -m pip install ${modules.join(' ')}\``)
}

function look(path: string, modules: readonly string[]): Python | undefined {
  const { status, stdout } = ask(path, modules)
  return status === 0 ? pythonOf(path, stdout.trim()) : undefined
}

function installed(path: string, modules: readonly string[]): Python | undefined {
  const folder = ask(path, modules).stdout.trim()
  if (folder === '') return undefined
  // Into a folder of its own: the Python of the system stays as it is.
  const options = ['--quiet', '--disable-pip-version-check', '--retries', '1', '--timeout', '10', '--target', folder]
  spawnSync(path, ['-m', 'pip', 'install', ...options, '--upgrade', ...modules], {
    stdio: 'ignore',
    timeout: INSTALL_MS_MAX,
  })
  return look(path, modules)
}

function ask(path: string, modules: readonly string[]): { readonly status: number | null; readonly stdout: string } {
  const line = ['-c', QUESTION, join(ROOT, 'node_modules/.cache'), ...modules]
  const { status, stdout } = spawnSync(path, line, { encoding: 'utf8', timeout: LOOK_MS_MAX })
  return { status, stdout: stdout ?? '' }
}

function pythonOf(path: string, folder: string): Python {
  const client = join(ROOT, 'clients/python')
  assert.ok(folder.includes('python-'), folder)
  return { path, environment: { PYTHONPATH: `${client}:${folder}`, PYTHONDONTWRITEBYTECODE: '1', PYTHONUTF8: '1' } }
}
