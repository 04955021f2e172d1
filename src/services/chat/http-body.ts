// Bodies of requests: JSON in UTF-8, held against the schema of their route. The schemas use a few keywords of JSON
// Schema, which are checked here and not by Ajv: it takes longer to load than all the rest of this API, in every shard,
// and counts characters where the protocol counts bytes.
import type { FastifyInstance, FastifySchemaCompiler } from 'fastify'
import { fits } from './message.ts'
import { membersOf } from './packet.ts'
import { TEXT } from './text.ts'

/** Text of 1 to `x-bytes-max` bytes in UTF-8, where that is given. */
export interface TextSchema {
  readonly type: 'string' | readonly ['string', 'null']
  readonly 'x-bytes-max'?: number
  /** As far as JSON Schema can say it. */
  readonly minLength?: number
  readonly maxLength?: number
  readonly description: string
}

export interface IntegersSchema {
  readonly type: readonly ['array', 'null']
  readonly items: { readonly type: 'integer' }
  readonly maxItems: number
  readonly description: string
}

export interface BodySchema {
  readonly type: 'object'
  readonly required: readonly string[]
  readonly properties: Readonly<Record<string, TextSchema | IntegersSchema>>
  readonly examples: readonly object[]
}

/** A body that cannot be taken; `message` is the client's. */
export class BodyError extends Error {
  override name = 'BodyError'
}

const VALID = true

/** Replaces Fastify's parsers: ill-formed UTF-8 is an error and never repaired. */
export function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, bytes: Buffer, done) => {
    const members = membersOf(bytes, 0, bytes.length)
    if (members === undefined) done(new BodyError(TEXT.invalidJson))
    else done(null, members)
  })
}

/** What Fastify calls for each route with a body; the result is called for each request. */
export const compileBody: FastifySchemaCompiler<unknown> = ({ schema }) => {
  const { required, properties } = schema as BodySchema
  const members = Object.entries(properties)
  return (body: unknown) => {
    if (typeof body !== 'object' || body === null || Array.isArray(body)) {
      return { error: new BodyError(TEXT.invalidJson) }
    }
    for (const [name, member] of members) {
      // Absent and `null` mean the same.
      const value = (body as Readonly<Record<string, unknown>>)[name] ?? undefined
      if (value === undefined && !required.includes(name)) continue
      const problem = value === undefined ? `${name} is missing` : problemOf(name, value, member)
      if (problem !== undefined) return { error: new BodyError(wordsOf(problem)) }
    }
    return VALID
  }
}

function problemOf(name: string, value: unknown, member: TextSchema | IntegersSchema): string | undefined {
  if ('items' in member) return integersProblem(name, value, member.maxItems)
  if (typeof value !== 'string') return `${name} must be a string`
  const bytesMax = member['x-bytes-max']
  if (bytesMax === undefined) return undefined
  if (value === '') return name === 'content' ? TEXT.contentEmpty : `${name} is empty`
  if (!fits(value, bytesMax))
    return name === 'content' ? TEXT.contentTooLong : `${name} is longer than ${bytesMax} bytes`
  // An escape can say what no UTF-8 can: half of a surrogate pair.
  return value.isWellFormed() ? undefined : `${name} must be well-formed Unicode`
}

function integersProblem(name: string, value: unknown, itemsMax: number): string | undefined {
  if (!Array.isArray(value) || !value.every(Number.isSafeInteger)) return `${name} must be an array of integers`
  return value.length > itemsMax ? `${name} has more than ${itemsMax} items` : undefined
}

/** The texts of content stand for themselves. */
function wordsOf(problem: string): string {
  return problem === TEXT.contentEmpty || problem === TEXT.contentTooLong ? problem : `invalid body: ${problem}`
}
