// Many connections to the service of moving-service.ts, each with numbered echoes and the numbered messages of a topic:
// whatever is lost, repeated, out of order or cut off is a fault.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { WebSocket } from 'ws'
import type { Server } from './server.ts'
import { within } from './wait.ts'

const FAULTS_KEPT = 20
const OPENED_AT_ONCE = 50
const OPEN_MS = 20_000

/** One connection: what it expects next. */
class Member {
  sent = 0
  received = 0
  tick = 0
  isOver = false
  readonly name: string
  readonly #send: (text: string) => void
  readonly #fault: (what: string) => void

  constructor(name: string, send: (text: string) => void, fault: (what: string) => void) {
    this.name = name
    this.#send = send
    this.#fault = fault
  }

  say(): void {
    this.#send(`${this.sent++}`)
  }

  hear(text: string): void {
    if (text.startsWith('t ')) {
      const tick = Number(text.slice(2))
      // The first one it hears is where it came in.
      if (this.tick !== 0 && tick !== this.tick + 1) this.#fault(`tick ${tick} behind ${this.tick}`)
      this.tick = tick
    } else if (text === `${this.received}`) this.received++
    else this.#fault(`${text} instead of ${this.received}`)
  }

  ended(why: string): void {
    if (!this.isOver) this.#fault(`ended: ${why}`)
    this.isOver = true
  }
}

export class MovingCrowd {
  readonly faults: string[] = []
  faultCount = 0
  readonly members: Member[] = []
  readonly #sockets: Socket[] = []
  readonly #webSockets: WebSocket[] = []
  #timer: NodeJS.Timeout | undefined

  static async open(server: Server, webSockets: number, streams: number): Promise<MovingCrowd> {
    const crowd = new MovingCrowd()
    const openers = [
      ...Array.from({ length: webSockets }, (_, index) => () => crowd.#openWebSocket(server, index)),
      ...Array.from({ length: streams }, (_, index) => () => crowd.#openStream(server, index)),
    ]
    for (let start = 0; start < openers.length; start += OPENED_AT_ONCE) {
      await within(
        'connections',
        Promise.all(openers.slice(start, start + OPENED_AT_ONCE).map((open) => open())),
        OPEN_MS,
      )
    }
    return crowd
  }

  /** Each member says something every `periodMs`, spread over it. */
  start(periodMs: number): void {
    const STEPS = 20
    let step = 0
    this.#timer = setInterval(() => {
      for (let index = step++ % STEPS; index < this.members.length; index += STEPS) {
        const member = this.members[index] as Member
        if (!member.isOver) member.say()
      }
    }, periodMs / STEPS)
  }

  /** Says nothing more; true when every echo is back. */
  get isQuiet(): boolean {
    clearInterval(this.#timer)
    return this.members.every(({ sent, received, isOver }) => isOver || sent === received)
  }

  get echoes(): number {
    return this.members.reduce((sum, { received }) => sum + received, 0)
  }

  /** The tick that all have heard. */
  get tick(): number {
    return Math.min(...this.members.map(({ tick }) => tick))
  }

  close(): void {
    clearInterval(this.#timer)
    for (const member of this.members) member.isOver = true
    for (const socket of this.#sockets) socket.destroy()
    for (const socket of this.#webSockets) socket.terminate()
  }

  #add(name: string, send: (text: string) => void): Member {
    const member: Member = new Member(name, send, (what) => {
      this.faultCount++
      if (this.faults.length < FAULTS_KEPT) this.faults.push(`${name}: ${what}`)
    })
    this.members.push(member)
    return member
  }

  async #openWebSocket(server: Server, index: number): Promise<void> {
    const socket = new WebSocket(server.url('moving.ws', `/?session=w${index}`), { perMessageDeflate: index % 4 === 0 })
    this.#webSockets.push(socket)
    const member = this.#add(`ws ${index}`, (text) => socket.send(text))
    // Frames of a topic keep the newline that streams need.
    socket.on('message', (data: Buffer) => member.hear(data.toString().trimEnd()))
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', (code) => member.ended(`close ${code}`))
    await once(socket, 'open')
  }

  async #openStream(server: Server, index: number): Promise<void> {
    const socket = connect({ port: server.port('moving.tcp'), host: '127.0.0.1', noDelay: true })
    this.#sockets.push(socket)
    const member = this.#add(`tcp ${index}`, (text) => socket.write(`${text}\n`))
    let rest = ''
    socket.on('data', (data: Buffer) => {
      const lines = (rest + data.toString('latin1')).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) member.hear(line)
    })
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => member.ended('close'))
    await once(socket, 'connect')
  }
}
