// A service that collects garbage, so that a heap's size says what is kept: the line `collect KEY` does it in the shard
// of that key, `collect-acceptor` in the acceptor.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { defineService, type SessionKey, type TcpHandler } from '../../src/index.ts'

function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  collect()
}

function sessionOf(head: Uint8Array, start: number, end: number): SessionKey {
  const text = Buffer.from(head.buffer, head.byteOffset + start, end - start).toString('latin1')
  if (!text.includes('\n')) return { state: 'more' }
  if (text.startsWith('collect-acceptor\n')) collectGarbage()
  const key = /^collect (\S+)\n/.exec(text)?.[1]
  return key === undefined ? { state: 'none' } : { state: 'key', key: `collector:${key}` }
}

export const collector = defineService({
  name: 'collector',
  listeners: { tcp: { port: 0, sessionOf } },
  start({ shard }) {
    const tcp: TcpHandler<void> = {
      data(connection) {
        collectGarbage()
        connection.send(`${shard.id} ${process.memoryUsage().heapUsed}\n`)
      },
    }
    return { tcp: tcp as TcpHandler }
  },
})
