// Programs a test has to have: found in the PATH, or installed where that is possible, or one line says what to do.
import { canInstall, findProgram, installPackage } from '../../src/cli/program.ts'

export interface Program {
  /** What it may be called; the first that is found is taken. */
  readonly names: readonly [string, ...string[]]
  readonly aptPackage: string
  /** For people. Default: the first name. */
  readonly what?: string
}

/** The path of a program. Throws when there is none and none can be installed. */
export function requireProgram({ names, aptPackage, what = names[0] }: Program): string {
  const path = findProgram(names, process.env) ?? install(aptPackage, names)
  if (path !== undefined) return path
  throw new Error(`this test needs ${what}: install ${aptPackage}, so that ${names.join(' or ')} is in the PATH`)
}

function install(aptPackage: string, names: readonly string[]): string | undefined {
  if (!canInstall(process.env)) return undefined
  installPackage(aptPackage, process.env)
  return findProgram(names, process.env)
}
