// What goes to the server, one frame after another: frames of one connection cannot overlap, so a text that is typed
// while a file is under way goes out behind it. Files are read as fast as the connection takes them.
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { basename } from 'node:path'
import { encodeDescriptor, encodeFrame, MESSAGE_TYPE } from '../../services/rooms/descriptor.ts'
import { problemOf } from '../problem.ts'
import type { FileType } from './input.ts'
import { safeText } from './safe-text.ts'
import { sizeText, type Transfer } from './transfer.ts'

/** Messages and files that wait for their turn. */
export const OUTBOX_JOBS_MAX = 64
const READ_BYTES = 256 * 1024

export interface OutboxListener {
  notice(text: string, tone: 'notice' | 'problem'): void
  moved(): void
  /** A message goes out, and will come back. */
  sending(): void
  /** A frame was begun and cannot be completed: only the end of the connection tells the server. */
  broken(reason: string): void
}

export class Outbox {
  readonly #socket: Socket
  readonly #contentBytesMax: number
  readonly #transfers: Set<Transfer>
  readonly #listener: OutboxListener
  #last: Promise<void> = Promise.resolve()
  #jobs = 0

  constructor(socket: Socket, contentBytesMax: number, transfers: Set<Transfer>, listener: OutboxListener) {
    this.#socket = socket
    this.#contentBytesMax = contentBytesMax
    this.#transfers = transfers
    this.#listener = listener
  }

  get isIdle(): boolean {
    return this.#jobs === 0
  }

  /** Resolves when the socket has taken it. */
  text(text: string, to: string | undefined): Promise<void> {
    const header = to === undefined ? '' : JSON.stringify({ to })
    return this.#add(async () => {
      this.#listener.sending()
      await this.#write(encodeFrame(MESSAGE_TYPE.utf8, header, text))
    })
  }

  /** Resolves when the socket has taken all of it, or it was refused, which the listener is told. */
  file(type: FileType, path: string): Promise<void> {
    return this.#add(async () => {
      try {
        // A pipe would keep the opening waiting.
        await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
        await this.#upload(type, path, file)
      } catch (error) {
        this.#listener.notice(`${safeText(path)} is not sent: ${problemOf(error)}`, 'problem')
      }
    })
  }

  #add(job: () => Promise<void>): Promise<void> {
    if (this.#jobs >= OUTBOX_JOBS_MAX) {
      this.#listener.notice(`not sent: ${OUTBOX_JOBS_MAX} messages wait already`, 'problem')
      return Promise.resolve()
    }
    this.#jobs++
    this.#last = this.#last.then(job).finally(() => void this.#jobs--)
    return this.#last
  }

  async #upload(type: FileType, path: string, file: FileHandle): Promise<void> {
    const stat = await file.stat()
    if (!stat.isFile()) throw new Error('it is not a file')
    if (stat.size > this.#contentBytesMax) {
      throw new Error(`it has ${sizeText(stat.size)}, and ${sizeText(this.#contentBytesMax)} is the limit`)
    }
    const name = basename(path)
    const totalBytes = stat.size
    const transfer: Transfer = { direction: 'out', name: safeText(name), from: undefined, totalBytes, doneBytes: 0 }
    const header = Buffer.from(JSON.stringify({ filename: name }))
    this.#listener.sending()
    if (!(await this.#write(Buffer.concat([encodeDescriptor(type, header.length, totalBytes), header])))) return
    this.#transfers.add(transfer)
    this.#listener.moved()
    try {
      // As much as was announced, should the file grow meanwhile.
      while (transfer.doneBytes < totalBytes) {
        const chunk = Buffer.allocUnsafe(Math.min(READ_BYTES, totalBytes - transfer.doneBytes))
        const { bytesRead } = await file.read(chunk, 0, chunk.length, transfer.doneBytes)
        if (bytesRead === 0) throw new Error('it became shorter meanwhile')
        if (!(await this.#write(chunk.subarray(0, bytesRead)))) return
        transfer.doneBytes += bytesRead
        this.#listener.moved()
      }
    } catch (error) {
      this.#listener.broken(`${safeText(path)} could not be read to its end: ${problemOf(error)}`)
    } finally {
      this.#transfers.delete(transfer)
      this.#listener.moved()
    }
  }

  /** False when the connection is over. */
  #write(bytes: Uint8Array): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const socket = this.#socket
    if (socket.destroyed || socket.writableEnded) return Promise.resolve(false)
    if (socket.write(bytes)) return Promise.resolve(true)
    const drained = (): void => {
      socket.off('close', gone)
      resolve(true)
    }
    const gone = (): void => {
      socket.off('drain', drained)
      resolve(false)
    }
    socket.once('drain', drained)
    socket.once('close', gone)
    return promise
  }
}
