// Programs a shell has to have for a test: found in the PATH, or installed where that is possible.
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

const INSTALL_MS_MAX = 240_000

/** Throws, with one line that says what to do, when `program` is missing and `aptPackage` cannot be installed. */
export function requireTool(program: string, aptPackage: string): void {
  if (isFound(program)) return
  if (process.platform === 'linux' && process.getuid?.() === 0) {
    const command = `apt-get update && apt-get install -y ${aptPackage}`
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    spawnSync('sh', ['-c', command], { env: environment, stdio: 'ignore', timeout: INSTALL_MS_MAX })
  }
  if (!isFound(program)) throw new Error(`this test needs ${program}: install ${aptPackage}`)
}

function isFound(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
