// A sender of messages to a room, and a connection that only listens. A message of the generator is the content of a
// text, or of a file; its answer is that it comes back to its sender, as it goes to everybody.
import { encodeDescriptor, MESSAGE_TYPE } from '../../../services/rooms/descriptor.ts'
import type { Link, LinkAddress, LinkListener } from '../link.ts'
import type { SubscriberOwner } from '../subscriber.ts'
import type { ErrorKind } from '../tally.ts'
import type { RoomCompany } from './company.ts'
import { RoomMember } from './member.ts'

const FILE_HEADER = Buffer.from('{"filename":"load.bin"}')

export class RoomLink implements Link {
  readonly #member: RoomMember
  readonly #company: RoomCompany
  /** What stands in front of each message. */
  readonly #head: Buffer

  constructor(company: RoomCompany, number: number, where: LinkAddress, listener: LinkListener) {
    const { audience, sizeBytes, files } = company
    const header = files ? FILE_HEADER : Buffer.alloc(0)
    const type = files ? MESSAGE_TYPE.file : MESSAGE_TYPE.utf8
    this.#company = company
    this.#head = Buffer.concat([encodeDescriptor(type, header.length, sizeBytes), header])
    this.#member = new RoomMember(
      company,
      number,
      true,
      where,
      audience.listenerOf(() => this.#member, listener),
    )
  }

  get bufferedBytes(): number {
    return this.#member.tcp.bufferedBytes
  }

  begin(): void {
    this.#member.tcp.begin()
  }

  send(message: Buffer): void {
    this.#member.tcp.send(this.#head)
    this.#member.tcp.send(message)
  }

  end(): void {
    this.#member.tcp.end()
  }

  close(): void {
    this.#company.audience.remove(this.#member)
    this.#member.close()
  }
}

/** Joins the audience when it is in the room; tells `owner` of that, or that it failed. */
export function listenTo(company: RoomCompany, number: number, where: LinkAddress, owner: SubscriberOwner): RoomMember {
  let isOpen = false
  const member: RoomMember = new RoomMember(company, number, false, where, {
    opened: () => {
      isOpen = true
      owner.subscribed()
    },
    received: () => {},
    failed: () => {},
    closed: (kind: ErrorKind, detail: string) => {
      const wasOpen = isOpen
      isOpen = false
      owner.errors.count(kind, detail === '' ? 'listener' : `listener: ${detail}`)
      owner.unsubscribed(member, wasOpen)
    },
  })
  return member
}
