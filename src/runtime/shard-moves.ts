// A shard's part in moves of slots: the ways to the shards that something moves to or from, and what comes on them.
import type { MessagePort } from 'node:worker_threads'
import type { SlotMove } from '../actor/router.ts'
import { seatOfThread } from '../lib/thread.ts'
import type { ActorThread } from './actor-thread.ts'
import type { ConnectionMover } from './connection-mover.ts'
import type { ConnectionPost } from './connection-post.ts'
import type { ShardMessage, SlotMoveMessage } from './move-message.ts'
import type { SessionBook } from './session-book.ts'
import type { ShardTopics } from './shard-topics.ts'
import type { DownNotice, NoticeToMain, ShiftNotice } from './thread-data.ts'

export interface ShardMovesOptions {
  readonly self: number
  readonly actors: ActorThread
  readonly topics: ShardTopics
  readonly post: ConnectionPost
  readonly mover: ConnectionMover
  readonly sessions: SessionBook
  readonly tell: (notice: NoticeToMain) => void
  readonly inTurn: (run: () => void) => void
}

export class ShardMoves {
  readonly #options: ShardMovesOptions
  readonly #ports = new Map<number, MessagePort>()
  readonly #moves = new Map<number, SlotMove>()

  constructor(options: ShardMovesOptions) {
    this.#options = options
  }

  portTo(thread: number): MessagePort | undefined {
    return this.#ports.get(thread)
  }

  addPort(thread: number, port: MessagePort): void {
    this.#ports.get(thread)?.close()
    this.#ports.set(thread, port)
    port.on('message', (message: ShardMessage) => this.#options.inTurn(() => this.#onMessage(thread, message)))
  }

  expect(move: SlotMove): void {
    const { actors, tell } = this.#options
    this.#moves.set(move.id, move)
    actors.router.expect(move)
    tell({ kind: 'expecting', move: move.id })
  }

  shift({ move, gone }: ShiftNotice): void {
    const { self, actors, topics, post, mover } = this.#options
    if (move.from === self) {
      this.#moves.set(move.id, move)
      const port = this.#ports.get(move.to)
      const tell = (message: WithoutMove<SlotMoveMessage>): void => port?.postMessage({ ...message, move: move.id })
      actors.router.shift(move, tell, gone)
      const slots = new Set(move.slots)
      tell({ kind: 'elsewhere', connections: post.leave(slots) })
      tell({ kind: 'topics', frozen: topics.leave(slots) })
      actors.system.migration.leave(move, tell)
    } else actors.router.shift(move)
    mover.start()
  }

  ended({ id }: SlotMove): void {
    this.#moves.delete(id)
    this.#options.tell({ kind: 'move-ended', move: id })
  }

  threadDown({ thread, planned }: DownNotice): void {
    this.#ports.get(thread)?.close()
    this.#ports.delete(thread)
    const { actors, topics, post, mover, sessions } = this.#options
    const moves = [...this.#moves.values()]
    // First what is awaited, then what is held: that came later.
    for (const move of moves) if (move.from === thread) actors.system.migration.abandoned(move)
    actors.threadDown(thread)
    for (const move of moves) if (move.to === thread) actors.system.migration.leaveFailed(move.id)
    post.threadDown(thread)
    mover.threadDown(thread)
    topics.threadDown(thread)
    if (!planned) sessions.crashed(seatOfThread(thread), actors.system.activations())
  }

  #onMessage(thread: number, message: ShardMessage): void {
    const { actors, topics, post, mover } = this.#options
    switch (message.kind) {
      case 'record':
      case 'fence':
        actors.router.arrived(message.move, message)
        break
      case 'released':
      case 'actor':
      case 'lost':
        actors.system.migration.arrived(thread, message)
        break
      case 'flushed':
        actors.gates.opened(thread, message.gate)
        break
      case 'topics':
        topics.arrived(message.frozen)
        break
      case 'elsewhere':
        post.learn(message.connections)
        break
      default:
        mover.receive(thread, message)
    }
  }
}

type WithoutMove<M> = M extends unknown ? Omit<M, 'move'> : never
