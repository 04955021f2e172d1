// A process that writes to a store as the store's thread does, and says on its output what was acknowledged: to be
// killed. Arguments: path, a name for its messages, how many wait for their acknowledgement at a time.
import { writeSync } from 'node:fs'
import { systemClock } from '../../src/lib/clock.ts'
import { createEngine } from '../../src/store/create-engine.ts'
import { Loop, SILENT } from './store-fixture.ts'

const [path = '', name = '', writers = '1'] = process.argv.slice(2)
const loop = new Loop(createEngine({ kind: 'sqlite', path, log: SILENT, clock: systemClock }))

async function write(writer: number): Promise<void> {
  for (let count = 0; ; count++) {
    const content = `${name} ${writer} ${count}`
    const { id } = await loop.client.store.addMessage({
      chatId: 1,
      senderId: 1,
      content,
      type: 'Text',
      createSender: false,
    })
    writeSync(1, `${id} ${content}\n`)
  }
}

await Promise.all(Array.from({ length: Number(writers) }, (_, writer) => write(writer)))
