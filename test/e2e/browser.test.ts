// A real browser on the WebSocket port: its handshake, its masking, its close.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { launchBrowser } from '../harness/browser.ts'
import { startServer } from '../harness/server.ts'

interface Echoed {
  readonly texts: readonly string[]
  readonly bytes: readonly number[]
  readonly extensions: string
  readonly code: number
  readonly wasClean: boolean
}

/** Runs in the page: sends three messages, closes with 1000 when all are back. */
const PAGE = `<!doctype html><title>echo</title><script>
  window.echo = (url) => new Promise((resolve, reject) => {
    const socket = new WebSocket(url)
    socket.binaryType = 'arraybuffer'
    const texts = []
    let bytes
    socket.onopen = () => {
      socket.send('привет, 🌍')
      socket.send('x'.repeat(200000))
      socket.send(new Uint8Array([0, 127, 128, 255]))
    }
    socket.onmessage = ({ data }) => {
      if (typeof data === 'string') texts.push(data)
      else bytes = [...new Uint8Array(data)]
      if (texts.length === 2 && bytes !== undefined) socket.close(1000)
    }
    socket.onerror = () => reject(new Error('the WebSocket failed'))
    socket.onclose = ({ code, wasClean }) => resolve({ texts, bytes, extensions: socket.extensions, code, wasClean })
  })
</script>`

test('browser: text and binary come back, plain and compressed', async () => {
  const pages = createServer((_request, response) =>
    response.setHeader('content-type', 'text/html; charset=utf-8').end(PAGE),
  )
  pages.listen(0, '127.0.0.1')
  await once(pages, 'listening')
  try {
    await using browser = await launchBrowser()
    for (const permessageDeflate of [false, true]) {
      await using server = await startServer({ settings: { 'services.echo.permessageDeflate': permessageDeflate } })
      const page = await browser.newPage()
      await page.goto(`http://127.0.0.1:${(pages.address() as AddressInfo).port}/`)
      const url = server.url('echo.ws', '/?session=browser')
      const echoed: Echoed = await page.evaluate(`window.echo(${JSON.stringify(url)})`)
      const [short, long] = echoed.texts
      assert.equal(short, 'привет, 🌍')
      assert.ok(long === 'x'.repeat(200_000), 'the long text came back')
      assert.deepEqual(echoed.bytes, [0, 127, 128, 255])
      assert.deepEqual([echoed.code, echoed.wasClean], [1000, true])
      assert.equal(echoed.extensions.includes('permessage-deflate'), permessageDeflate)
      await page.close()
    }
  } finally {
    pages.closeAllConnections()
    pages.close()
  }
})
