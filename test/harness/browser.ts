// A real Chromium: finds it, or installs it where that is possible, or says in one line what to do.
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome']
const INSTALL_MS_MAX = 240_000
const LAUNCH_MS_MAX = 60_000
const ARGUMENTS = [
  '--headless',
  '--no-sandbox', // the tests may run as root, where the sandbox does not start; pages are our own
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Starts the browser. Throws when there is none and none can be installed. */
export function launchBrowser(): Promise<Browser> {
  const executablePath = find() ?? install()
  return chromium.launch({ executablePath, args: ARGUMENTS, timeout: LAUNCH_MS_MAX })
}

function find(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter)
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find((file) => {
    try {
      accessSync(file, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

function install(): string {
  if (process.platform === 'linux' && process.getuid?.() === 0) {
    const command = 'apt-get update && apt-get install -y chromium'
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    spawnSync('sh', ['-c', command], { env: environment, stdio: 'ignore', timeout: INSTALL_MS_MAX })
  }
  const found = find()
  if (found !== undefined) return found
  throw new Error(`this test needs a browser: install one of ${NAMES.join(', ')} into the PATH`)
}
