// The one room of a host: who is in it, and the order of everything said in it. Plain state behind an actor
// (room-actor.ts); says what it has to say through the output it is given.
//
//     login ──▶ member ──leave──▶ leaving ──over──▶ gone
//                 └── nothing heard of its shard's thread for too long, or lost on its way to another ──▶ gone
import { unreachable } from '../../lib/assert.ts'
import { DESCRIPTOR_BYTES, encodeFrame, MESSAGE_TYPE, writeDescriptor } from './descriptor.ts'
import { encodeHeader } from './message-header.ts'
import { encodeRecord, type NewRecord, RECORD_KIND } from './room-record.ts'
import { type FrozenLedger, SpoolLedger } from './spool-ledger.ts'
import { serverFrame, unknownRecipientText } from './text.ts'
import type { SaidItem, Turn, TurnAnswer, TurnItem, TurnResult } from './turn.ts'

/** Records on their way to shards with members; beyond it turns wait, so that the topic keeps what a slow shard misses. */
export const WINDOW_BYTES = 512 * 1024
/** A thread that was silent for so long is not waited for. It may be dead, and is told of its gap otherwise. */
const WAITED_FOR_MS = 1_000
/** Longer than a hung thread lives by default: what was not heard of for so long is dead, and its members are gone. */
export const FORGOTTEN_AFTER_MS = 10_000
/** Of a thread whose shard has another one by now: some beats. In a reload both are heard of. */
export const SUSPECT_FORGOTTEN_AFTER_MS = 3_000
const NOTHING = Buffer.alloc(0)

/** What a room says, and when. */
export interface RoomOutput {
  readonly nowMs: number
  /** Of a message, since 1970. */
  readonly wallMs: number
  publish(record: Buffer): void
  /** Records that could not be published wait. */
  readonly blocked: boolean
}

interface Member {
  readonly name: string
  life: string
  /** Since when it is on its way between two threads. One that does not arrive died with the thread it was posted to. */
  awayMs?: number | undefined
}

interface Life {
  readonly shard: number
  /** Its shard has another thread. */
  isSuspect: boolean
  sequence: number
  answer: TurnAnswer | undefined
  heardMs: number
  consumed: number
  members: number
}

export interface FrozenRoom {
  readonly epoch: number
  readonly members: ReadonlyMap<number, Member>
  readonly lives: ReadonlyMap<string, Life>
  readonly leaving: ReadonlyMap<number, string>
  readonly ledger: FrozenLedger
  readonly published: number
}

export class Room {
  readonly epoch: number
  readonly ledger: SpoolLedger
  readonly #members: Map<number, Member>
  readonly #names = new Map<string, number>()
  /** Connections that have left and still get what was said before, by the life they are on. */
  readonly #leaving: Map<number, string>
  readonly #lives: Map<string, Life>
  /** Bytes of all records. */
  #published: number

  constructor(epoch: number, spoolBytesMax: number, pathOf: (file: number) => string, frozen?: FrozenRoom) {
    this.epoch = epoch
    this.ledger = new SpoolLedger(spoolBytesMax, pathOf, frozen?.ledger)
    this.#members = new Map(frozen?.members)
    this.#lives = new Map(frozen?.lives)
    this.#leaving = new Map(frozen?.leaving)
    this.#published = frozen?.published ?? 0
    for (const [id, { name }] of this.#members) this.#names.set(name, id)
  }

  freeze(): FrozenRoom {
    return {
      epoch: this.epoch,
      members: this.#members,
      lives: this.#lives,
      leaving: this.#leaving,
      ledger: this.ledger.freeze(),
      published: this.#published,
    }
  }

  get size(): number {
    return this.#members.size
  }

  /** Threads it hears of. */
  get lives(): number {
    return this.#lives.size
  }

  turn(turn: Turn, output: RoomOutput): TurnAnswer {
    const { epoch } = this
    if (turn.epoch !== 0 && turn.epoch !== epoch) return { state: 'lost', epoch }
    let life = this.#lives.get(turn.life)
    if (life === undefined) {
      if (turn.sequence !== 1) return { state: 'lost', epoch }
      life = this.#begin(turn)
    }
    life.heardMs = output.nowMs
    life.consumed = Math.max(life.consumed, Math.min(turn.consumed, this.#published))
    if (life.answer !== undefined && life.sequence === turn.sequence) return life.answer
    if (turn.items.length > 0 && (output.blocked || this.#isFull(output.nowMs))) return { state: 'busy', epoch }
    const results: TurnResult[] = []
    for (const item of turn.items) results.push(this.#do(item, turn.life, life, output))
    life.sequence = turn.sequence
    life.answer = { state: 'done', epoch, results, published: this.#published }
    return life.answer
  }

  /** Drops the members of threads that are silent, and those that did not arrive. Answers how many there were. */
  look(output: RoomOutput): number {
    let dropped = 0
    for (const [id, { awayMs }] of this.#members) {
      if (awayMs === undefined || output.nowMs - awayMs < FORGOTTEN_AFTER_MS) continue
      this.#leave(id, output)
      this.#over(id)
      this.ledger.senderGone(id)
      dropped++
    }
    for (const [name, life] of this.#lives) {
      const silentMsMax = life.isSuspect ? SUSPECT_FORGOTTEN_AFTER_MS : FORGOTTEN_AFTER_MS
      if (output.nowMs - life.heardMs < silentMsMax) continue
      for (const [id, member] of this.#members) {
        if (member.life !== name) continue
        this.#leave(id, output)
        dropped++
      }
      for (const [id, of] of this.#leaving) if (of === name) this.#over(id)
      this.ledger.lifeGone(name)
      this.#lives.delete(name)
    }
    return dropped
  }

  #begin({ life: name, shard }: Turn): Life {
    for (const other of this.#lives.values()) if (other.shard === shard) other.isSuspect = true
    const consumed = this.#published
    const life = { shard, isSuspect: false, sequence: 0, answer: undefined, heardMs: 0, consumed, members: 0 }
    this.#lives.set(name, life)
    return life
  }

  #isFull(nowMs: number): boolean {
    for (const { members, heardMs, consumed } of this.#lives.values()) {
      if (members > 0 && nowMs - heardMs < WAITED_FOR_MS && this.#published - consumed > WINDOW_BYTES) return true
    }
    return false
  }

  #do(item: TurnItem, lifeName: string, life: Life, output: RoomOutput): TurnResult {
    const { ledger } = this
    const isMember = this.#members.has(item.id)
    switch (item.kind) {
      case 'login':
        return this.#login(item.id, item.name, lifeName, life, output)
      case 'leave':
        return this.#leave(item.id, output)
      case 'over':
        this.#over(item.id)
        return 'done'
      case 'say':
        return this.#say(item, output)
      case 'answer':
        if (isMember) this.#answer(item.id, item.text, output)
        return isMember ? 'done' : 'gone'
      case 'spool':
        return isMember ? (ledger.open(item.id, lifeName, item.bytes) ?? 'full') : 'gone'
      case 'grow':
        return ledger.grow(item.file, item.bytes) ? 'done' : 'full'
      case 'abandon':
        ledger.abandon(item.id, item.file)
        return 'done'
      case 'read':
        ledger.read(item.id, item.file)
        return 'done'
      case 'away':
        return this.#away(item.id, lifeName, output.nowMs)
      case 'moved':
        return this.#moved(item.id, lifeName, life)
      default:
        return unreachable(item)
    }
  }

  #login(id: number, name: string, lifeName: string, life: Life, output: RoomOutput): TurnResult {
    if (this.#names.has(name) || this.#members.has(id)) return 'exists'
    this.#names.set(name, id)
    this.#members.set(id, { name, life: lifeName })
    // A thread without members did not count what was published.
    if (life.members++ === 0) life.consumed = this.#published
    const frame = encodeFrame(MESSAGE_TYPE.login, encodeHeader(timestampOf(output), name))
    this.#publish({ kind: RECORD_KIND.joined, subject: id }, frame, NOTHING, output)
    return 'accepted'
  }

  #leave(id: number, output: RoomOutput): TurnResult {
    const member = this.#members.get(id)
    if (member === undefined) return 'gone'
    this.#members.delete(id)
    this.#names.delete(member.name)
    this.#leaving.set(id, member.life)
    const life = this.#lives.get(member.life)
    if (life !== undefined) life.members--
    const frame = encodeFrame(MESSAGE_TYPE.logout, encodeHeader(timestampOf(output), member.name))
    this.#publish({ kind: RECORD_KIND.left, subject: id }, frame, NOTHING, output)
    return 'done'
  }

  #over(id: number): void {
    this.#leaving.delete(id)
    this.ledger.left(id)
  }

  /** The word of where it arrived may have been faster. */
  #away(id: number, lifeName: string, nowMs: number): TurnResult {
    const member = this.#members.get(id)
    if (member?.life === lifeName) member.awayMs = nowMs
    return 'done'
  }

  #moved(id: number, lifeName: string, life: Life): TurnResult {
    this.ledger.moved(id, lifeName)
    const member = this.#members.get(id)
    if (member === undefined) return 'gone'
    const before = this.#lives.get(member.life)
    if (before !== undefined) before.members--
    if (life.members++ === 0) life.consumed = this.#published
    member.life = lifeName
    member.awayMs = undefined
    return 'done'
  }

  #say(item: SaidItem, output: RoomOutput): TurnResult {
    const { id, to, spooled } = item
    const from = this.#members.get(id)
    const recipient = to === undefined ? undefined : this.#names.get(to)
    if (from === undefined || (to !== undefined && recipient === undefined)) {
      if (spooled !== undefined) this.ledger.abandon(id, spooled.file)
      if (from === undefined || to === undefined) return 'gone'
      this.#answer(id, unknownRecipientText(to), output)
      return 'recipient'
    }
    const content = item.content ?? NOTHING
    const contentBytes = spooled?.bytes ?? content.length
    const header = Buffer.from(encodeHeader(timestampOf(output), from.name, item.fileName, to))
    const head = Buffer.allocUnsafe(DESCRIPTOR_BYTES + header.length)
    writeDescriptor(head, 0, item.type, header.length, contentBytes)
    head.set(header, DESCRIPTOR_BYTES)
    if (spooled !== undefined)
      this.ledger.complete(
        spooled.file,
        spooled.bytes,
        recipient === undefined ? this.#members.keys() : [id, recipient],
      )
    const isPrivate = recipient !== undefined
    const kind = isPrivate ? RECORD_KIND.private : RECORD_KIND.message
    const second = isPrivate && recipient !== id ? id : 0
    this.#publish({ kind, subject: recipient ?? 0, second, contentBytes, spooled }, head, content, output)
    return isPrivate ? 'private' : 'room'
  }

  #answer(id: number, text: string, output: RoomOutput): void {
    this.#publish({ kind: RECORD_KIND.private, subject: id }, serverFrame(timestampOf(output), text), NOTHING, output)
  }

  #publish(
    record: Omit<NewRecord, 'epoch' | 'before'>,
    head: Uint8Array,
    content: Uint8Array,
    output: RoomOutput,
  ): void {
    const made = { epoch: this.epoch, before: this.#published, ...record }
    const { bytes, frameStart } = encodeRecord(made, head.length + content.length)
    bytes.set(head, frameStart)
    bytes.set(content, frameStart + head.length)
    this.#published += bytes.length
    output.publish(bytes)
  }
}

function timestampOf({ wallMs }: RoomOutput): string {
  return new Date(wallMs).toISOString()
}
