// Who may be called what, and how a Login says it. Pure.
import { isUtf8 } from 'node:buffer'
import { objectOf } from './message-header.ts'

export const USER_NAME_CHARACTERS_MAX = 32
const NAME = /^[A-Za-z0-9_]{1,32}$/
const RESERVED = /^server$/i

/** The name that the header of a Login asks for: `bob`, or `{"to":"bob"}`. Undefined: nobody may be called so. */
export function userNameOf(header: Buffer): string | undefined {
  if (!isUtf8(header)) return undefined
  const to = objectOf(header)?.to
  const name = typeof to === 'string' ? to : header.toString()
  return NAME.test(name) && !RESERVED.test(name) ? name : undefined
}
