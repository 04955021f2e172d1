// What the hub's port serves beside its API: a live page, and a description of the WebSocket. The page's files are plain
// HTML, CSS and JavaScript in page/, and what it shares with the dashboard. [PROTOCOLS 4.10]
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { loadDashboard, PAGE_POLICY, type PageFile, pageFileOf } from '../../observe/dashboard.ts'
import { AsyncApiText } from './asyncapi.ts'
import type { HubEdge } from './edge.ts'
import { HTTP_TEXT, sendDetail } from './http-answer.ts'

export const PAGE_PARTS = ['hub.css', 'hub.js', 'channel-table.js', 'event-list.js', 'link.js', 'metric-card.js']
/** Of the dashboard. */
export const SHARED_PARTS = [
  'dashboard.css',
  'icon.svg',
  'card.js',
  'chart.js',
  'element.js',
  'text.js',
  'uplot.js',
  'uplot.css',
]
const YAML_TYPE = 'application/yaml; charset=utf-8'

export interface HubPage {
  readonly page: PageFile
  /** By name. */
  readonly parts: ReadonlyMap<string, PageFile>
}

export function loadHubPage(): HubPage {
  const shared = loadDashboard().parts
  const parts = new Map(PAGE_PARTS.map((name) => [name, ownFile(name)]))
  for (const name of SHARED_PARTS) {
    const part = shared.get(name)
    if (part !== undefined) parts.set(name, part)
  }
  return { page: ownFile('index.html'), parts }
}

type PartRequest = FastifyRequest<{ Params: { part: string } }>

/** Most shards never serve any of it: it is made on the first request. */
export function addDocuments(app: FastifyInstance, edge: HubEdge): void {
  let loaded: HubPage | undefined
  const description = new AsyncApiText(edge.context.config)
  const hubPage = (): HubPage => {
    loaded ??= loadHubPage()
    return loaded
  }
  app.get('/', (_request, reply) => send(reply, hubPage().page))
  app.get('/page/:part', (request: PartRequest, reply) => {
    const part = hubPage().parts.get(request.params.part)
    return part === undefined ? sendDetail(reply, 404, HTTP_TEXT.notFound) : send(reply, part)
  })
  app.get('/asyncapi.yaml', ({ host, protocol }, reply) => {
    reply.header('x-content-type-options', 'nosniff').type(YAML_TYPE)
    return reply.send(description.at({ host, isSecure: protocol === 'https' }))
  })
}

function send(reply: FastifyReply, { type, bytes }: PageFile): FastifyReply {
  reply.header('content-security-policy', PAGE_POLICY).header('referrer-policy', 'no-referrer')
  return reply.header('x-content-type-options', 'nosniff').header('cache-control', 'no-store').type(type).send(bytes)
}

function ownFile(name: string): PageFile {
  return pageFileOf(name, new URL(`./page/${name}`, import.meta.url))
}
