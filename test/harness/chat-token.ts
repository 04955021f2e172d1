// JSON web tokens made by hand, so that also those can be made that no library would make.
import { createHmac } from 'node:crypto'

export interface TokenParts {
  readonly secret: string
  readonly header?: object
  readonly claims: object
}

/** HS256 unless the header says otherwise; `none` has an empty signature. */
export function signToken({ secret, header = { alg: 'HS256', typ: 'JWT' }, claims }: TokenParts): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const body = `${part(header)}.${part(claims)}`
  const algorithm = 'alg' in header ? header.alg : 'none'
  const hash = { HS256: 'sha256', HS384: 'sha384', HS512: 'sha512' }[`${algorithm}`]
  return `${body}.${hash === undefined ? '' : createHmac(hash, secret).update(body).digest('base64url')}`
}
