// What the chat benches start: the service on a store of its own, beside the peers' files in the same folder.
import { mkdirSync, mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type ServerProcess, startPolyloop } from './server-process.ts'

/** Not the system's /tmp, which may be memory. */
const DATA = join(import.meta.dirname, '../data')

/** A folder on the disk of the checkout, removed in the end. */
export class BenchFolder implements AsyncDisposable {
  readonly path: string

  constructor() {
    mkdirSync(DATA, { recursive: true })
    this.path = mkdtempSync(join(DATA, 'bench-'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true })
  }
}

export function startChat(folder: BenchFolder): Promise<ServerProcess> {
  return startPolyloop({
    service: 'chat',
    settings: {
      'store.path': join(folder.path, 'chat.db'),
      'services.chat.tcp.port': '0',
      'services.chat.udp.port': '0',
      'services.chat.http.port': '0',
      'services.chat.rateLimit.rate': '0',
    },
  })
}
