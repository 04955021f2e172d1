// `polyloop hub-demo`: subscribes to everything, tells of each event what its kind means, and pings.
import { DEFAULT_CHANNELS } from '../../services/hub/config.ts'
import { printable } from '../chat-packet.ts'
import { problemOf } from '../problem.ts'
import type { ToolIo } from '../tool-io.ts'
import { closedText, HubConnection } from './connection.ts'
import { eventLine } from './event-line.ts'
import { type Frame, isEvent, stringsOf } from './frame.ts'
import { SteadyOutput, type SteadySink } from './steady-output.ts'
import { type HubTarget, shownUrl } from './target.ts'

const PING_MS = 30_000

export interface DemoIo extends ToolIo {
  readonly stdout: SteadySink
}

/** Resolves with why it failed; undefined: it did not. */
export async function runDemo(target: HubTarget, { stdout, signal }: DemoIo): Promise<string | undefined> {
  const output = new SteadyOutput(stdout)
  let open: HubConnection | undefined
  // What stdout does not take, the hub keeps, as long as it wants to.
  const say = (text: string): void => {
    if (!output.write(`${text}\n`, () => open?.resume())) open?.pause()
  }
  let pings: NodeJS.Timeout | undefined
  say(`Connecting to ${shownUrl(target)}`)
  try {
    await using connection = await HubConnection.open(target, {
      signal,
      received: (frame) => {
        if (frame !== undefined) tell(frame, say)
      },
    })
    open = connection
    connection.send('subscribe', { channels: DEFAULT_CHANNELS })
    pings = setInterval(() => {
      if (connection.isOpen) connection.send('ping')
    }, PING_MS)
    const end = await connection.ended
    say(`Disconnected: ${closedText(end)}`)
    return signal.aborted || end.isGood ? undefined : closedText(end)
  } catch (error) {
    return problemOf(error)
  } finally {
    clearInterval(pings)
  }
}

function tell(frame: Frame, say: (text: string) => void): void {
  const { type, client_id: id, user_id: user, message } = frame
  if (isEvent(frame)) {
    say(eventLine(frame))
    return
  }
  switch (type) {
    case 'connected':
      say(`Connected as ${user === null ? 'nobody' : printable(user)}, client ${printable(id)}`)
      return
    case 'subscribed': {
      const [channels, denied] = [stringsOf(frame.channels), stringsOf(frame.denied)]
      say(`Subscribed to ${printable(channels.join(', ')) || 'nothing'}`)
      if (denied.length > 0) say(`Not for you: ${printable(denied.join(', '))}`)
      return
    }
    case 'error':
      say(`Error: ${printable(message)}`)
      return
    default:
      say(`(${printable(type)})`)
  }
}
