// What a listener's `sessionOf` answers: a pure function from the first bytes of a connection to its session key.

/** `more`: the key is not there yet. `none`: this protocol names no session, the peer's address is the key. */
export type SessionKey =
  | { readonly state: 'key'; readonly key: string }
  | { readonly state: 'more' }
  | { readonly state: 'none' }

/**
 * Reads `head[start, end)` and never throws. `fresh` is a new unique id, for protocols that mint their session ids.
 * It runs on the acceptor, once per segment until it decides.
 */
export type SessionOf = (head: Uint8Array, start: number, end: number, fresh: string) => SessionKey

/** The key of a peer that names no session. */
export function peerKey(address: string, port: number): string {
  return `peer:${address}:${port}`
}
