// CORS: which origins' pages may read what an HTTP API answers. [PROTOCOLS 1.5]
import type { FastifyInstance } from 'fastify'

const CORS_MAX_AGE_SECONDS = 3_600
const CORS_METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'

/** `*` is every origin. */
export async function allowOrigins(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  if (origins.length === 0) return
  const { fastifyCors } = await import('@fastify/cors')
  const allowed = new Set(origins)
  await app.register(fastifyCors, {
    // By function: a list would give others the headers of a preflight, only without the one that counts.
    origin: allowed.has('*')
      ? '*'
      : (origin, done) => done(null, origin !== undefined && allowed.has(origin) ? origin : false),
    methods: CORS_METHODS,
    maxAge: CORS_MAX_AGE_SECONDS,
    strictPreflight: false,
  })
}
