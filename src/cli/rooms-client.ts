// `polyloop rooms-client`: a member of a room. On a terminal a picture of the room, elsewhere plain lines.
import type { Readable, Writable } from 'node:stream'
import type { Command } from 'commander'
import { systemClock } from '../lib/clock.ts'
import { parseSize } from '../lib/units.ts'
import type { CommandContext, ExitStatus } from './command.ts'
import { problemOf } from './problem.ts'
import { LineMode } from './rooms/line-mode.ts'
import { safeText } from './rooms/safe-text.ts'
import { openSaveDirectory } from './rooms/saved-file.ts'
import { Screen } from './rooms/screen.ts'
import { RoomSession } from './rooms/session.ts'
import { failureOf, type ToolIo } from './tool-io.ts'

const DEFAULT_ADDRESS = '127.0.0.1:8083'
/** What `services.rooms.maxContentBytes` is unless somebody changed it: the server drops who sends more. */
const DEFAULT_CONTENT = '64MiB'
const CONTENT_BYTES_MAX = 2 ** 40
/** The server refuses longer headers, and does not say of what. */
const USERNAME_BYTES_MAX = 4_096

/** The flags of the command, as typed. */
export interface RoomsClientOptions {
  readonly username: string
  readonly address?: string
  readonly saveDirectory?: string
  readonly maxContent?: string
}

export interface RoomsClientIo extends ToolIo {
  readonly stdin: Readable
  /** A terminal to draw on and to read keys from; its `TERM`. */
  readonly terminal: { readonly stdout: Writable; readonly term: string | undefined } | undefined
}

export function register(command: Command, context: CommandContext): void {
  command
    .requiredOption('-u, --username <name>', 'the name in the room: letters, digits and _')
    .option('-a, --address <host:port>', 'server to talk to', DEFAULT_ADDRESS)
    .option('-s, --save-directory <directory>', 'where received files go', '.')
    .option('--max-content <size>', 'of a file, sent or received', DEFAULT_CONTENT)
    .action(async (options: RoomsClientOptions) => {
      const { stdin, stdout, stderr, environment } = context
      const isTerminal = stdin.isTTY === true && stdout.isTTY === true && environment.TERM !== 'dumb'
      const terminal = isTerminal ? { stdout, term: environment.TERM } : undefined
      const interrupt = new AbortController()
      const leave = (): void => interrupt.abort()
      context.takeSignals(leave)
      // A terminal that is closed: a file that is half there must not stay.
      context.takeHangups(leave)
      const io = { stdin, stdout, stderr, terminal, signal: interrupt.signal }
      context.setStatus(await runRoomsClient(options, io))
    })
}

/** 0 when the user left; 1 without a server, after a refused login, or when the connection was lost; 2 for senseless options. */
export async function runRoomsClient(options: RoomsClientOptions, io: RoomsClientIo): Promise<ExitStatus> {
  const { username, address = DEFAULT_ADDRESS } = options
  const place = placeOf(address)
  const contentBytesMax = parseSize(options.maxContent ?? DEFAULT_CONTENT) ?? 0
  const problems = [
    place === undefined ? `--address is HOST:PORT, not "${safeText(address)}"` : '',
    Buffer.byteLength(username) > USERNAME_BYTES_MAX ? `--username has at most ${USERNAME_BYTES_MAX} bytes` : '',
    contentBytesMax > 0 && contentBytesMax <= CONTENT_BYTES_MAX
      ? ''
      : `--max-content is a size such as 64MiB, not "${options.maxContent}"`,
  ].filter((problem) => problem !== '')
  for (const problem of problems) io.stderr.write(`rooms-client: ${problem}\n`)
  if (place === undefined || problems.length > 0) return 2
  let saveDirectory: string
  try {
    saveDirectory = await openSaveDirectory(options.saveDirectory ?? '.')
  } catch (error) {
    return failureOf('rooms-client', `cannot save files: ${problemOf(error)}`, io)
  }
  const wallMs = systemClock.wallMs
  const view =
    io.terminal === undefined
      ? new LineMode(io)
      : await Screen.create({ stdin: io.stdin, ...io.terminal }, `${address} as ${safeText(username)}`, wallMs)
  const about = { ...place, username, saveDirectory, contentBytesMax, signal: io.signal, wallMs }
  const session = await RoomSession.open(about, view)
  if (typeof session === 'string') {
    // Whatever waits in stdin was for the room.
    io.stdin.destroy()
    return failureOf('rooms-client', session, io)
  }
  const reason = await view.run(session)
  return reason === undefined ? 0 : failureOf('rooms-client', reason, io)
}

/** `host:port`; the host of IPv6 may stand in brackets. */
function placeOf(address: string): { readonly host: string; readonly port: number } | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:\s]+)):(\d{1,5})$/.exec(address) ?? []
  const host = bracketed ?? plain
  const port = Number(digits)
  return host === undefined || port === 0 || port > 65_535 ? undefined : { host, port }
}
