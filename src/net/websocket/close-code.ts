// WebSocket close codes: their names, and which of them may stand in a close frame. Knows nothing of frames.

/** The codes this server uses or reports [RFC 6455 7.4.1]. */
export const CLOSE_CODE = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  unsupportedData: 1003,
  /** Never on the wire: the close frame had no code. */
  noStatus: 1005,
  /** Never on the wire: the connection ended without a close frame. */
  abnormal: 1006,
  invalidPayload: 1007,
  policyViolation: 1008,
  messageTooLarge: 1009,
  internalError: 1011,
  serviceRestart: 1012,
} as const

/**
 * True for a code that may stand in a close frame: 1000–1014 without 1004–1006, and 3000–4999. 1012–1014 came after
 * the RFC, through the IANA registry; 1015 and up to 2999 are reserved. The same set as `ws`.
 */
export function isWireCloseCode(code: number): boolean {
  if (code >= 3000) return code <= 4999
  return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)
}

/** Throws a RangeError on a code that may not. */
export function checkCloseCode(code: number): void {
  if (isWireCloseCode(code)) return
  throw new RangeError(`${code} is no close code to send: 1000 to 1003, 1007 to 1014, 3000 to 4999`)
}
