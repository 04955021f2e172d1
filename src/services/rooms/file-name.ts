// File names on their way from one user to others. Pure. What comes out has no separator and nothing that JSON would
// have to escape; it may still be a name that some system reserves, so receivers must not trust it.
import { isUtf8 } from 'node:buffer'

export const FILE_NAME_BYTES_MAX = 255

/** Undefined: it is not acceptable. */
export function fileNameOf(raw: string): string | undefined {
  const base = raw.slice(Math.max(raw.lastIndexOf('/'), raw.lastIndexOf('\\')) + 1)
  const name = base.replace(/["\p{Cc}:]/gu, '_')
  if (name === '' || name === '.' || name === '..' || !name.isWellFormed()) return undefined
  return Buffer.byteLength(name) <= FILE_NAME_BYTES_MAX ? name : undefined
}

/** Of a header that is nothing but the name. */
export function fileNameOfBytes(raw: Buffer): string | undefined {
  return isUtf8(raw) ? fileNameOf(raw.toString()) : undefined
}
