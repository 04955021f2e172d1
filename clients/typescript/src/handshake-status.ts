// The HTTP status of a handshake that was refused. The WebSocket interface hides it: browsers for good, Node.js says it
// on a diagnostics channel, and `ws` in its error's message.

export interface HandshakeWatch {
  readonly status: number | undefined
  end(): void
}

interface HandshakeRequest {
  readonly origin: unknown
  readonly path: unknown
}

interface Notice {
  readonly request: HandshakeRequest
  readonly response?: { readonly statusCode?: number }
}

type Listener = (notice: unknown) => void

interface Diagnostics {
  subscribe(name: string, listener: Listener): void
  unsubscribe(name: string, listener: Listener): void
}

interface Platform {
  readonly process?: { getBuiltinModule?(name: string): unknown }
}

const CREATED = 'undici:request:create'
const ANSWERED = 'undici:request:headers'

/** Begin before the WebSocket is made, end when it is open or has failed. */
export function watchHandshake(url: string): HandshakeWatch {
  const diagnostics = (globalThis as Platform).process?.getBuiltinModule?.('node:diagnostics_channel')
  if (diagnostics === undefined) return { status: undefined, end: () => undefined }
  return new DiagnosticsWatch(diagnostics as Diagnostics, new URL(url))
}

class DiagnosticsWatch implements HandshakeWatch {
  readonly #diagnostics: Diagnostics
  readonly #origin: string
  readonly #path: string
  #request: HandshakeRequest | undefined
  #status: number | undefined

  constructor(diagnostics: Diagnostics, { protocol, host, pathname, search }: URL) {
    this.#diagnostics = diagnostics
    this.#origin = `${protocol.replace(/^ws/, 'http')}//${host}`
    this.#path = `${pathname}${search}`
    diagnostics.subscribe(CREATED, this.#created)
    diagnostics.subscribe(ANSWERED, this.#answered)
  }

  get status(): number | undefined {
    return this.#status
  }

  end(): void {
    this.#diagnostics.unsubscribe(CREATED, this.#created)
    this.#diagnostics.unsubscribe(ANSWERED, this.#answered)
  }

  // The first request for this address since the watch began is the handshake: only it can be as early.
  readonly #created: Listener = (notice) => {
    const { request } = notice as Notice
    if (this.#request === undefined && String(request.origin) === this.#origin && request.path === this.#path)
      this.#request = request
  }

  readonly #answered: Listener = (notice) => {
    const { request, response } = notice as Notice
    if (request === this.#request) this.#status = response?.statusCode
  }
}
