// The same service in a program of yours: `node examples/own-service/main.ts`, then Ctrl-C.
import { createRuntime } from '../../src/index.ts' // you write: 'polyloop'

const runtime = await createRuntime({
  shards: 2,
  modules: [new URL('./reminder.ts', import.meta.url)],
  only: ['reminder'],
  settings: { 'services.reminder.longest': '10m' },
})
for (const { service, transport, host, port } of runtime.listeners) {
  console.log(`${service} listens: ${transport} ${host}:${port}`)
}
process.once('SIGINT', async () => {
  const clean = await runtime.drain()
  process.exitCode = clean ? 0 : 1
})
