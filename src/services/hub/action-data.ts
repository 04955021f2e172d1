// What an event of the channel `actions` says. [PROTOCOLS 4.4]
import { randomUUID } from 'node:crypto'

export interface Action {
  readonly type: string
  readonly result: object | null
  readonly durationMs?: number
  /** Null: it succeeded. */
  readonly error: string | null
}

export function actionData({ type, result, durationMs = 0, error }: Action): object {
  return {
    action_id: randomUUID(),
    action_type: type,
    status: error === null ? 'completed' : 'failed',
    result,
    execution_time_ms: Math.round(durationMs * 1_000) / 1_000,
    error,
  }
}
