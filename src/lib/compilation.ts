// When V8 compiles. It optimises a function after some 400 calls that taught it nothing new, so a path that is taken fifty
// times a second runs as bytecode for its first half minute. Whoever rehearses such a path has it compiled sooner.
import { setFlagsFromString } from 'node:v8'

/** Calls before a function is optimised by Maglev. TurboFan comes as late as ever, with as much to go by. */
const CALLS = 50
/** V8's own numbers (13.6 to 14.6). */
const CALLS_BY_DEFAULT = 400
const CALLS_AFTER_CHANGE_BY_DEFAULT = 500

/**
 * Of the whole process, until what it answers is called. Only for a moment, and when modules are loaded: meanwhile V8
 * refuses all code that was compiled and kept under other flags, what Node.js brings along for its own modules included.
 */
export function compileEarly(): () => void {
  setCalls(CALLS, CALLS)
  return () => setCalls(CALLS_BY_DEFAULT, CALLS_AFTER_CHANGE_BY_DEFAULT)
}

function setCalls(calls: number, callsAfterChange: number): void {
  setFlagsFromString(`--invocation-count-for-maglev=${calls}`)
  setFlagsFromString(`--minimum-invocations-after-ic-update=${callsAfterChange}`)
}
