// When V8 compiles. It optimises a function after some 400 calls that taught it nothing new, so a path that is taken fifty
// times a second runs as bytecode for its first half minute, and again whenever something unforeseen undid that.
import { setFlagsFromString } from 'node:v8'

/** Calls before a function is optimised by Maglev. TurboFan comes after as many calls as ever. */
const CALLS = 50

/**
 * From now on, in all threads of the process. For a thread whose modules are loaded: V8 refuses code that was compiled and
 * kept under other flags, what Node.js brings along for its own modules included, and later threads load more slowly.
 */
export function compileEarly(): void {
  setFlagsFromString(`--invocation-count-for-maglev=${CALLS}`)
  setFlagsFromString(`--minimum-invocations-after-ic-update=${CALLS}`)
}
