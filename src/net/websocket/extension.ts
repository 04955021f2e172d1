// Negotiation of permessage-deflate [RFC 7692 7], the only extension we know. Pure text.

/** The answer to an offer we accept, without `server_max_window_bits`. */
const ACCEPTED = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover'

// token [ = token-or-quoted-token ] and the separator behind it [RFC 6455 9.1]; a backslash in a quoted string escapes.
const PART =
  /[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:=(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)|"((?:\\?[!#$%&'*+.^_`|~0-9A-Za-z-])+)"))?[ \t]*(;|,|$)/y

/**
 * Our answer to a `Sec-WebSocket-Extensions` header: a header value, undefined (go on without compression), or
 * 'malformed' when it does not follow the grammar. An offer with an unknown, repeated or impossible parameter is
 * declined and the next one is looked at [RFC 7692 7.1].
 */
export function acceptsDeflate(header: string): string | undefined {
  let accepted: string | undefined
  let offer: Offer | undefined
  PART.lastIndex = 0
  for (;;) {
    const part = PART.exec(header)
    if (part === null) return 'malformed'
    const [, name = '', token, quoted, separator] = part
    const value = token ?? quoted?.replaceAll('\\', '')
    if (offer === undefined) {
      if (value !== undefined) return 'malformed' // an extension's name has no value
      offer = { isDeflate: name === 'permessage-deflate', isGood: true, names: [], serverWindow: false }
    } else if (offer.isDeflate) {
      readParameter(offer, name, value)
    }
    if (separator === ';') continue
    if (accepted === undefined && offer.isDeflate && offer.isGood) {
      accepted = offer.serverWindow ? `${ACCEPTED}; server_max_window_bits=15` : ACCEPTED
    }
    if (separator === '') return accepted
    offer = undefined
  }
}

interface Offer {
  readonly isDeflate: boolean
  isGood: boolean
  readonly names: string[]
  serverWindow: boolean
}

function readParameter(offer: Offer, name: string, value: string | undefined): void {
  if (offer.names.includes(name)) offer.isGood = false
  offer.names.push(name)
  switch (name) {
    case 'server_no_context_takeover':
    case 'client_no_context_takeover':
      if (value !== undefined) offer.isGood = false
      break
    case 'client_max_window_bits':
      // A hint of what the client can do. We leave it out of the answer: inflating takes any window.
      if (value !== undefined && !isWindowBits(value)) offer.isGood = false
      break
    case 'server_max_window_bits':
      // A compressed frame is shared by all its subscribers, so no client can have a smaller window for itself.
      if (value !== '15') offer.isGood = false
      offer.serverWindow = true
      break
    default:
      offer.isGood = false
  }
}

function isWindowBits(value: string): boolean {
  return /^([89]|1[0-5])$/.test(value)
}
