// A file that arrives, in the save directory: under a name that cannot lead out of it, and never over another file.
import { constants } from 'node:fs'
import { access, type FileHandle, mkdir, open, realpath, unlink } from 'node:fs/promises'
import { join } from 'node:path'

/** What Linux and macOS take. */
const NAME_BYTES_MAX = 255
/** `a.txt`, `a (1).txt`, … `a (9999).txt`. */
const NUMBER_MAX = 9_999
/** What follows the last dot is an extension up to this length; a longer one is part of the name. */
const EXTENSION_BYTES_MAX = 32
/** Control characters, what separates folders here or elsewhere, and what turns the direction of a name around. */
const UNSAFE = /[\u0000-\u001f\u007f-\u009f:\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g
/** Names of devices where a file may be copied to later. */
const DEVICE = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)/i

/**
 * The base name of what the sender called it, without what a file name must not have. `fallback` when nothing is left.
 * Leading dots become underscores: nobody else makes hidden files here, or a shell's start file.
 */
export function safeNameOf(given: string, fallback: string): string {
  const base = given.slice(Math.max(given.lastIndexOf('/'), given.lastIndexOf('\\')) + 1)
  const plain = base.toWellFormed().replace(UNSAFE, '_').trim()
  if (plain === '' || /^\.+$/.test(plain)) return fallback
  const visible = plain.replace(/^\.+/, (dots) => '_'.repeat(dots.length))
  return numbered(DEVICE.test(visible) ? `_${visible}` : visible, 0)
}

/** `a.txt` and 1 → `a (1).txt`, cut to what a file system takes. */
export function numbered(name: string, number: number): string {
  const dot = name.lastIndexOf('.')
  const isExtension = dot > 0 && Buffer.byteLength(name.slice(dot)) <= EXTENSION_BYTES_MAX
  const extension = isExtension ? name.slice(dot) : ''
  const suffix = `${number === 0 ? '' : ` (${number})`}${extension}`
  return cut(isExtension ? name.slice(0, dot) : name, NAME_BYTES_MAX - Buffer.byteLength(suffix)) + suffix
}

/** No character is cut in two. */
function cut(text: string, bytesMax: number): string {
  if (Buffer.byteLength(text) <= bytesMax) return text
  const bytes = Buffer.from(text)
  let end = bytesMax
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}

/** The directory itself, made if need be. Throws what the system says when nothing can be written there. */
export async function openSaveDirectory(path: string): Promise<string> {
  await mkdir(path, { recursive: true })
  const directory = await realpath(path)
  await access(directory, constants.W_OK | constants.X_OK)
  return directory
}

export class SavedFile {
  readonly name: string
  readonly path: string
  readonly #handle: FileHandle

  private constructor(name: string, path: string, handle: FileHandle) {
    this.name = name
    this.path = path
    this.#handle = handle
  }

  /** `safeName` is one of `safeNameOf`. Throws what the system says. */
  static async create(directory: string, safeName: string): Promise<SavedFile> {
    for (let number = 0; number <= NUMBER_MAX; number++) {
      const name = numbered(safeName, number)
      const path = join(directory, name)
      try {
        // Exclusive: not a link either, wherever it points to.
        return new SavedFile(name, path, await open(path, 'wx'))
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
      }
    }
    throw new Error(`there are ${NUMBER_MAX} files of that name`)
  }

  async write(bytes: Uint8Array): Promise<void> {
    let at = 0
    while (at < bytes.length) at += (await this.#handle.write(bytes, at)).bytesWritten
  }

  async finish(): Promise<void> {
    await this.#handle.close()
  }

  /** What is incomplete is taken away. */
  async discard(): Promise<void> {
    try {
      await this.#handle.close()
    } finally {
      await unlink(this.path)
    }
  }
}
