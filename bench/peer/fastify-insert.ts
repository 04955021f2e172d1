// The peer of chat's HTTP API: a bare Fastify handler that stores the message itself and answers when it is on disk.
// `fastify-insert.ts PATH`.
import type { AddressInfo } from 'node:net'
import fastify from 'fastify'
import { createChatTable } from '../chat-table.ts'

const table = createChatTable(process.argv[2] ?? '')
const app = fastify()
app.post('/api/chats/1/messages', (request, reply) => {
  const { content } = request.body as { content: string }
  table.begin()
  const id = table.add(content)
  table.commit()
  return reply.code(201).send({ success: true, message: 'stored', data: { id } })
})
await app.listen({ host: '127.0.0.1', port: 0 })
const { port } = app.server.address() as AddressInfo
console.log(JSON.stringify({ port, pids: [process.pid] }))
