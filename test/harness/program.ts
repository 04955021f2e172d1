// Programs a test has to have: found in the PATH, or installed where that is possible, or one line says what to do.
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

const INSTALL_MS_MAX = 240_000

export interface Program {
  /** What it may be called; the first that is found is taken. */
  readonly names: readonly [string, ...string[]]
  readonly aptPackage: string
  /** For people. Default: the first name. */
  readonly what?: string
}

/** The path of a program. Throws when there is none and none can be installed. */
export function requireProgram({ names, aptPackage, what = names[0] }: Program): string {
  const path = find(names) ?? install(aptPackage, names)
  if (path !== undefined) return path
  throw new Error(`this test needs ${what}: install ${aptPackage}, so that ${names.join(' or ')} is in the PATH`)
}

function find(names: readonly string[]): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter)
  return names
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

function install(aptPackage: string, names: readonly string[]): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined
  const command = `apt-get update && apt-get install -y ${aptPackage}`
  // At this level the package starts no service of its own.
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  spawnSync('sh', ['-c', command], { env: environment, stdio: 'ignore', timeout: INSTALL_MS_MAX })
  return find(names)
}
