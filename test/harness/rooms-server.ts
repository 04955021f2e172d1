// The rooms service as a process on a free port, with a spool directory of its own.
import { readdirSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RoomsMember } from './rooms-member.ts'
import { type Server, type ServerOptions, startServer } from './server.ts'

export class RoomsServer implements AsyncDisposable {
  readonly server: Server
  readonly #folder: string

  constructor(folder: string, server: Server) {
    this.#folder = folder
    this.server = server
  }

  static async start(options: ServerOptions = {}): Promise<RoomsServer> {
    const folder = await mkdtemp(join(tmpdir(), 'polyloop-rooms-'))
    const settings = { 'services.rooms.spoolDirectory': join(folder, 'spool'), ...options.settings }
    try {
      return new RoomsServer(folder, await startServer({ services: ['rooms'], ...options, settings }))
    } catch (error) {
      await rm(folder, { recursive: true, force: true })
      throw error
    }
  }

  get port(): number {
    return this.server.port('rooms.tcp')
  }

  /** A connection that has not logged in. */
  open(): Promise<RoomsMember> {
    return RoomsMember.open(this.port)
  }

  /** Somebody who is in the room, and has seen that. */
  async join(name: string): Promise<RoomsMember> {
    const member = await this.open()
    await member.login(name)
    return member
  }

  /** What lies below the folder of the spool and everything beside it. */
  files(): string[] {
    return readdirSync(this.#folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
  }

  /** Directories in that of the spool: one for each process. */
  directories(): string[] {
    return readdirSync(join(this.#folder, 'spool'))
  }

  /** The permissions of a file or directory. */
  modeOf(path: string): number {
    return statSync(path).mode & 0o777
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
