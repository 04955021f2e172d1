// What a service may add to the admin endpoint: routes below /api/v1/, answered in main. Who may ask is checked before.

export interface AdminRequest {
  /** The `:name` segments of the path, percent-decoded. */
  readonly parameters: Readonly<Record<string, string>>
  /** As it came; empty without one. */
  readonly body: Buffer
}

export interface AdminJson {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

/** A stream of server-sent events: begins with the first of `begin` and `send`, or never. */
export interface AdminEvents {
  /** The client learns that it will hear what happens from now on. */
  begin(): void
  /** `data` may have several lines; line ends become LF. A client that reads too slowly is dropped. */
  send(data: string, event?: string): void
  /** Ends it; before it has begun, with an answer. */
  fail(answer: AdminJson): void
}

export type AdminAnswer =
  | AdminJson
  /** `events` is called once and answers what ends it; that is called when the client is gone. */
  | { readonly events: (sink: AdminEvents) => () => void }

export interface AdminRoute {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  /** `/api/v1/<service>/…`; a segment `:name` is a parameter. */
  readonly path: string
  /** Longest body; a longer one gets 413. Default 16 KiB. */
  readonly bodyBytesMax?: number
  /** What it throws is a 500, or a 503 if it is an error that passes. */
  handle(request: AdminRequest): AdminAnswer | Promise<AdminAnswer>
}
