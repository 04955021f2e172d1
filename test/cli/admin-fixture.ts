// A real admin server over a figure table that a test fills, for commands that talk to one. What the runtime would do
// on a control is the test's to say.
import type { TestContext } from 'node:test'
import { ManualClock } from '../../src/lib/clock.ts'
import { threadOfSeat } from '../../src/lib/thread.ts'
import { NO_ACTORS } from '../../src/observe/actor-report.ts'
import { type AdminView, createAdminServer } from '../../src/observe/admin-server.ts'
import { Exposition } from '../../src/observe/exposition.ts'
import { FigureTable } from '../../src/observe/figure.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { type MigrationReport, NO_MIGRATION, type Readiness } from '../../src/observe/report.ts'
import { Status } from '../../src/observe/status.ts'

export interface AdminFixture {
  readonly table: FigureTable
  readonly clock: ManualClock
  readonly url: string
  readiness: Readiness
  migration: MigrationReport
  /** Called before each runtime report. */
  onAsked: () => void
  close(): Promise<void>
}

export interface AdminFixtureOptions {
  readonly token?: string
  readonly seats?: readonly number[]
  view?(fixture: AdminFixture): Partial<AdminView>
}

export async function openAdmin(context: TestContext, options: AdminFixtureOptions = {}): Promise<AdminFixture> {
  const { token, seats = [0, 1] } = options
  const table = FigureTable.allocate()
  for (const thread of seats.map(threadOfSeat)) {
    table.begin(thread)
    table.setState(thread, 'ready')
  }
  const fixture = {
    table,
    clock: new ManualClock(),
    url: '',
    readiness: 'ready' as Readiness,
    migration: NO_MIGRATION,
    onAsked: () => {},
    close: () => server.close(),
  }
  const status = new Status({
    ...{ table, services: ['echo'], version: '1.2.3', clock: fixture.clock, listeners: () => [] },
    readiness: () => fixture.readiness,
    migration: () => fixture.migration,
  })
  const exposition = new Exposition({ table, services: ['echo'], version: '1.2.3', sources: () => [] })
  const server = await createAdminServer({
    host: '127.0.0.1',
    port: 0,
    allowedHosts: [],
    log: createLogger({ level: 'silent', write: () => {}, base: { thread: 'main' } }),
    view: {
      health: () => status.health(),
      readiness: () => fixture.readiness,
      runtime: () => {
        fixture.onAsked()
        return status.runtime()
      },
      metrics: () => exposition.text(),
      restart: () => 'refused',
      drain: () => 'refused',
      reload: () => 'refused',
      shards: () => 'refused',
      migrate: () => 'refused',
      actors: () => Promise.resolve(NO_ACTORS),
      ...options.view?.(fixture),
    },
    ...(token === undefined ? {} : { token }),
  })
  context.after(() => server.close())
  fixture.url = `http://127.0.0.1:${server.addresses[0]?.port}`
  return fixture
}
