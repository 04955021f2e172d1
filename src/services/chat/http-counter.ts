// Counts HTTP answers by method, route and status: a cell for each, looked up once.
import type { Cell, ThreadMetrics } from '../../observe/metrics.ts'
import { CHAT_FAMILIES } from './counter.ts'

/** Counts one answer. */
export type CountAnswer = (method: string, status: number) => void

export class HttpCounter {
  readonly #metrics: ThreadMetrics

  constructor(metrics: ThreadMetrics) {
    this.#metrics = metrics
  }

  /** What counts the answers of one route, made once for each: the cells are bounded, because Node's parser knows the methods. */
  ofRoute(url: string): CountAnswer {
    const series = this.#metrics.counter(CHAT_FAMILIES.httpRequests)
    const route = labelOf(url)
    const cells = new Map<string, Map<number, Cell>>()
    return (method, status) => {
      let row = cells.get(method)
      if (row === undefined) {
        row = new Map()
        cells.set(method, row)
      }
      let cell = row.get(status)
      if (cell === undefined) {
        cell = series.cell({ method, route, status: String(status) })
        row.set(status, cell)
      }
      cell.value++
    }
  }
}

/** Path parameters as in OpenAPI, `/api/chats/{id}`; a route that is not in the family's set becomes `other` there. */
function labelOf(url: string): string {
  return url.replace(/:(\w+)/g, '{$1}').replace(/\/\*$/, '')
}
