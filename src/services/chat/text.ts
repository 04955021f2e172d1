// Every text of the chat protocol that a client may compare.

export const TEXT = {
  contentEmpty: 'Содержимое сообщения не может быть пустым',
  contentTooLong: 'Сообщение не может быть длиннее 4000 символов',
  chatUnknown: 'Чат не найден',
  invalidJson: 'invalid JSON',
  notAnObject: 'expected a JSON object',
  packetTimeout: 'packet timeout',
  incomplete: 'incomplete packet',
  tooSlow: 'subscriber too slow',
  authRequired: 'authentication required',
  tokenInvalid: 'invalid token',
  tokenMismatch: 'sender_id does not match the token',
  rateLimited: 'rate limit exceeded',
} as const

/** What the store did not do, and why. */
export function storeText(problem: string): string {
  return `Ошибка БД: ${problem}`
}

/** SQLite's own words for an unknown chat, sender or user. */
export const FOREIGN_KEY_FAILED = 'FOREIGN KEY constraint failed'
