// What every implementation of the store has to decide alike.
import { KEY_BYTES_MAX, LISTED_BYTES_MAX, STATE_BYTES_MAX, type StoredChat } from './store.ts'

/** SQLite's words: clients of chat get to see them. */
export const FOREIGN_KEY = 'FOREIGN KEY constraint failed'
export const USER_NAME_TAKEN = 'UNIQUE constraint failed: users.name'

/** The name of a user that nobody named. */
export function userName(id: number): string {
  return `user-${id}`
}

export function isId(id: number): boolean {
  return Number.isSafeInteger(id) && id > 0
}

/** Why such a state cannot be kept. */
export function stateProblem(key: string, value: Uint8Array): string | undefined {
  const keyBytes = Buffer.byteLength(key)
  if (keyBytes > KEY_BYTES_MAX) return `the key has ${keyBytes} bytes, ${KEY_BYTES_MAX} at most`
  if (value.byteLength > STATE_BYTES_MAX) return `the value has ${value.byteLength} bytes, ${STATE_BYTES_MAX} at most`
  return undefined
}

/** The first of them of which the contents fit into one answer; at least one. */
export function fittingChats(chats: StoredChat[]): StoredChat[] {
  let bytes = 0
  const end = chats.findIndex(({ name, lastMessage }, index) => {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(lastMessage?.content ?? '')
    return index > 0 && bytes > LISTED_BYTES_MAX
  })
  return end < 0 ? chats : chats.slice(0, end)
}
