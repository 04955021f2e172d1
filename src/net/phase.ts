// The states of a connection.

/**
 *   open ──closeFor()──▶ closing ──finish()──▶ ending ──both sides ended, or net.closeTimeout──▶ closed
 *     ├──────────────────finish()────────────▶┘                                                 ▲
 *     ├──────────────────destroy(), reset by the peer ──────────────────────────────────────────┘
 *     └──freeze()──▶ moved
 * closing: the service can send no more; a WebSocket's close frame is out, the peer's has not come.
 * moved: the connection goes on in another loop; the object it was in this one is only a way to send there.
 */
export type Phase = 'open' | 'closing' | 'ending' | 'closed' | 'moved'
