// A reader of server-sent events, by the book: what an EventSource would give its page.
import assert from 'node:assert/strict'
import { within } from './wait.ts'

export class EventStream implements Disposable {
  readonly #abort: AbortController
  readonly #messages: AsyncGenerator<string>

  constructor(abort: AbortController, body: ReadableStream<Uint8Array>) {
    this.#abort = abort
    // At once: a body that nobody reads ends when its response, which nobody holds, is collected.
    this.#messages = read(body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>))
  }

  static async open(url: string): Promise<EventStream> {
    const abort = new AbortController()
    const response = await within(`events of ${url}`, fetch(url, { signal: abort.signal }))
    assert.equal(response.status, 200)
    assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream\b/)
    assert.ok(response.body)
    return new EventStream(abort, response.body)
  }

  /** The data of the next event without a name; undefined when the stream has ended. */
  async next(): Promise<string | undefined> {
    const { value, done } = await within('an event', this.#messages.next())
    return done === true ? undefined : value
  }

  [Symbol.dispose](): void {
    this.#abort.abort()
  }
}

async function* read(texts: ReadableStream<string>): AsyncGenerator<string> {
  let rest = ''
  let data: string[] = []
  let name = ''
  try {
    for await (const text of texts) {
      const lines = (rest + text).split(/\r\n|\n|\r/)
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (line.startsWith('data:')) data.push(line.slice('data:'.length).replace(/^ /, ''))
        else if (line.startsWith('event:')) name = line.slice('event:'.length).trim()
        else if (line === '') {
          if (data.length > 0 && name === '') yield data.join('\n')
          data = []
          name = ''
        }
      }
    }
  } catch (error) {
    // Closed by its reader.
    if (!(error instanceof DOMException)) throw error
  }
}
