// The books of a kind of topic on a page of metrics: every delivery that was due is accounted for.
import assert from 'node:assert/strict'
import type { MetricPage } from './metric-page.ts'

export interface TopicBooks {
  readonly published: number
  readonly delivered: number
  readonly inFlight: number
  readonly dropped: number
}

/** Over all shards, or of one; fails if they do not balance. */
export function topicBooks(metrics: MetricPage, kind: string, shard?: number): TopicBooks {
  const labels = shard === undefined ? { kind } : { kind, shard: `${shard}` }
  const of = (name: string): number => metrics.sum(`polyloop_topic_${name}`, labels)
  const books = {
    published: of('published_total'),
    delivered: of('delivered_total'),
    inFlight: of('in_flight'),
    dropped: of('dropped_total'),
  }
  const { published, delivered, inFlight, dropped } = books
  assert.equal(published, delivered + inFlight + dropped, `the books of ${kind}: ${JSON.stringify(books)}`)
  return books
}

/** Dropped for one reason, over all shards. */
export function droppedFor(metrics: MetricPage, kind: string, reason: string): number {
  return metrics.sum('polyloop_topic_dropped_total', { kind, reason })
}
