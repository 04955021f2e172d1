// Programs of others: found in the PATH, or installed where that is possible. Knows no particular one.
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

const INSTALL_MS_MAX = 240_000

type Environment = Readonly<Record<string, string | undefined>>

/** The path of the first of these names that is in the PATH. */
export function findProgram(names: readonly string[], environment: Environment): string | undefined {
  const folders = (environment.PATH ?? '').split(delimiter)
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isProgram)
}

/** Whether this user of this machine can install packages with apt-get. */
export function canInstall(environment: Environment): boolean {
  return process.getuid?.() === 0 && findProgram(['apt-get'], environment) !== undefined
}

/** Installs a package with apt-get, without a word; look for the program afterwards. Blocks until it is done. */
export function installPackage(aptPackage: string, environment: Environment): void {
  const command = `apt-get update && apt-get install -y ${aptPackage}`
  // At this level the package starts no service of its own.
  const surroundings = { ...environment, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  spawnSync('sh', ['-c', command], { env: surroundings, stdio: 'ignore', timeout: INSTALL_MS_MAX })
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false // Not there, or not for us: look on.
  }
}
