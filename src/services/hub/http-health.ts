// How the process is, as the hub's port tells it: for balancers, and for dashboards of the established names. [PROTOCOLS 4.10]
import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Readiness } from '../../observe/report.ts'
import type { HubEdge } from './edge.ts'
import { sendJson } from './http-answer.ts'
import { timestampOf } from './text.ts'

const METRICS_PREFIX = 'neurograph_ws_'
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

interface Health {
  readonly status: 'healthy' | 'unhealthy'
  readonly uptime_seconds: number
  readonly version: string
}

export function addHealth(app: FastifyInstance, edge: HubEdge): void {
  const { status, clock } = edge.context
  const health = async (): Promise<Health> => {
    // Main does not answer in time: whoever waits for that should ask another host.
    const report = await Promise.resolve(status.health()).catch(() => undefined)
    if (report === undefined) return { status: 'unhealthy', uptime_seconds: 0, version: '' }
    const { uptime_seconds, version } = report
    return { status: report.status === 'unhealthy' ? 'unhealthy' : 'healthy', uptime_seconds, version }
  }
  app.get('/health', async (_request, reply) => {
    const now = await health()
    return sendJson(reply, codeOf(now), now)
  })
  app.get('/api/v1/health', async (_request, reply) => {
    const startMs = clock.nowMs()
    const now = await health()
    const isHealthy = now.status === 'healthy'
    const meta = {
      request_id: randomUUID(),
      processing_time_ms: clock.nowMs() - startMs,
      version: now.version,
      timestamp: timestampOf(clock.wallMs()),
    }
    return sendJson(reply, codeOf(now), { success: isHealthy, data: now, meta, error: isHealthy ? null : 'unhealthy' })
  })
  const readiness = (): Promise<Readiness> => Promise.resolve(status.readiness()).catch((): Readiness => 'starting')
  const ready = async (reply: FastifyReply): Promise<FastifyReply> => {
    const now = await readiness()
    return sendJson(reply, now === 'ready' ? 200 : 503, { status: now, check: 'readiness' })
  }
  const startup = async (reply: FastifyReply): Promise<FastifyReply> => {
    const isStarted = (await readiness()) !== 'starting'
    return sendJson(reply, isStarted ? 200 : 503, { status: isStarted ? 'started' : 'starting', check: 'startup' })
  }
  const metrics = async (reply: FastifyReply): Promise<FastifyReply> =>
    reply.type(METRICS_TYPE).send(await status.metrics(METRICS_PREFIX))
  for (const root of ['', '/api/v1']) {
    app.get(`${root}/health/live`, (_request, reply) => sendJson(reply, 200, { status: 'alive', check: 'liveness' }))
    app.get(`${root}/health/ready`, (_request, reply) => ready(reply))
    app.get(`${root}/health/startup`, (_request, reply) => startup(reply))
    app.get(`${root}/metrics`, (_request, reply) => metrics(reply))
  }
}

function codeOf({ status }: Health): number {
  return status === 'healthy' ? 200 : 503
}
