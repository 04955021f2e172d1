// Somebody who broadcasts to a channel of the hub, and a connection that only listens. A message of the generator is the
// data of an event; its answer is that the event comes back to its sender, as it goes to every subscriber.
import type { Link, LinkAddress, LinkListener } from '../link.ts'
import type { HubPlan, LoadPlan } from '../plan.ts'
import type { RoomCompany } from '../rooms/company.ts'
import type { SubscriberOwner } from '../subscriber.ts'
import { HubMember } from './member.ts'

/** What the connections of one thread have in common. */
export interface HubSide {
  readonly plan: LoadPlan
  readonly hub: HubPlan
  readonly company: RoomCompany
}

export class HubLink implements Link {
  readonly #member: HubMember
  readonly #company: RoomCompany
  #sequence = 0

  constructor(side: HubSide, number: number, where: LinkAddress, listener: LinkListener) {
    const { audience } = side.company
    this.#company = side.company
    this.#member = new HubMember(
      { ...side, sender: number, where },
      audience.listenerOf(() => this.#member, listener),
    )
  }

  get bufferedBytes(): number {
    return this.#member.ws.bufferedBytes
  }

  begin(): void {
    this.#member.ws.begin()
  }

  send(message: Buffer): void {
    this.#member.ws.send(this.#member.envelope.request(message, this.#sequence++))
  }

  end(): void {
    this.#member.ws.end()
  }

  close(): void {
    this.#company.audience.remove(this.#member)
    this.#member.close()
  }
}

/** Joins the audience when it is subscribed; tells `owner` of that, or that it failed. */
export function listenToHub(side: HubSide, where: LinkAddress, owner: SubscriberOwner): HubMember {
  let isOpen = false
  const member: HubMember = new HubMember(
    { ...side, sender: -1, where },
    {
      opened: () => {
        isOpen = true
        owner.subscribed()
      },
      received: () => {},
      failed: () => {},
      closed: (kind, detail) => {
        const wasOpen = isOpen
        isOpen = false
        owner.errors.count(kind, detail === '' ? 'subscriber' : `subscriber: ${detail}`)
        owner.unsubscribed(member, wasOpen)
      },
    },
  )
  return member
}
