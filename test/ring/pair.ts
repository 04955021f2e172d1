// Two or more meshes in one thread, joined by real rings and ports; what each received, and a way to wait for it.
import assert from 'node:assert/strict'
import { setImmediate as immediate } from 'node:timers/promises'
import { systemClock } from '../../src/lib/clock.ts'
import type { BellKind } from '../../src/ring/bell.ts'
import { Doorbells } from '../../src/ring/doorbell.ts'
import { createLinkEnds, createLinkMemory, type LaneCapacities, type LinkMemory } from '../../src/ring/link.ts'
import { Mesh } from '../../src/ring/mesh.ts'
import type { MeshFault, MeshOptions } from '../../src/ring/mesh-options.ts'

export const SMALL: LaneCapacities = { data: 1024, control: 256 }

export interface Received {
  readonly source: number
  readonly kind: number
  readonly text: string
}

export interface Node {
  readonly mesh: Mesh
  readonly received: Received[]
  readonly requested: number[]
  readonly faults: MeshFault[]
}

export class Net {
  readonly doorbells = Doorbells.allocate()
  readonly #meshes: Mesh[] = []
  readonly #bell: BellKind

  constructor(bell: BellKind = 'port') {
    this.#bell = bell
  }

  node(self: number, options: Partial<MeshOptions> = {}): Node {
    const received: Received[] = []
    const requested: number[] = []
    const faults: MeshFault[] = []
    const mesh = new Mesh({
      self,
      generation: 1,
      doorbells: this.doorbells,
      requestLink: (peer) => requested.push(peer),
      sink: (source, kind, bytes, offset, length) =>
        received.push({ source, kind, text: Buffer.from(bytes.subarray(offset, offset + length)).toString('latin1') }),
      overflowBytesMax: 100_000,
      messageBytesMax: 50_000,
      clock: systemClock,
      onFault: (fault) => faults.push(fault),
      bell: this.#bell,
      ...options,
    })
    this.#meshes.push(mesh)
    return { mesh, received, requested, faults }
  }

  link(low: Node, lowIndex: number, high: Node, highIndex: number, capacities: LaneCapacities = SMALL): LinkMemory {
    const memory = createLinkMemory(lowIndex, highIndex, capacities)
    const ends = createLinkEnds(memory)
    low.mesh.attach(ends.low)
    high.mesh.attach(ends.high)
    return memory
  }

  [Symbol.dispose](): void {
    for (const mesh of this.#meshes) mesh.close()
  }
}

export function sendText(mesh: Mesh, peer: number, text: string, lane: 'data' | 'control' = 'data', kind = 1): boolean {
  const bytes = Buffer.from(text, 'latin1')
  return mesh.send(peer, lane, kind, bytes, bytes.length)
}

/** Turns of the event loop until the predicate holds: the bound is only for what never becomes true. */
export async function waitUntil(what: string, predicate: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!predicate()) {
    if (performance.now() > deadline) assert.fail(`never became true: ${what}`)
    await immediate()
  }
}
