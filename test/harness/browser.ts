// A real Chromium: finds it, or installs it where that is possible, or says in one line what to do.
import { type Browser, chromium } from 'playwright-core'
import { type Program, requireProgram } from './program.ts'

const PROGRAM: Program = {
  names: ['chromium', 'chromium-browser', 'google-chrome'],
  aptPackage: 'chromium',
  what: 'a browser',
}
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
  const executablePath = requireProgram(PROGRAM)
  return chromium.launch({ executablePath, args: ARGUMENTS, timeout: LAUNCH_MS_MAX })
}
