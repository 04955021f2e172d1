// Whether what a client sends as COMPRESSED_JSON is that. [PROTOCOLS 4.9]
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'

/** Of the JSON. */
const INFLATED_BYTES_MAX = 16 * 1024 * 1024

const inflate = promisify(gunzip)

/** What is wrong with it; undefined: nothing. */
export async function inflatedProblem(payload: Uint8Array): Promise<string | undefined> {
  let json: Buffer
  try {
    json = await inflate(payload, { maxOutputLength: INFLATED_BYTES_MAX })
  } catch (error) {
    const isTooLarge = error instanceof RangeError
    return isTooLarge ? 'compressed JSON is larger than 16 MiB' : 'payload is not gzip'
  }
  try {
    JSON.parse(json.toString())
    return undefined
  } catch {
    // There is no other way to ask.
    return 'payload is not compressed JSON'
  }
}
