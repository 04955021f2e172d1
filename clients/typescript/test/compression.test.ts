import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateRawSync, deflateSync, gunzipSync, gzipSync, inflateRawSync, inflateSync } from 'node:zlib'
import { type Algorithm, decompress, defaultCompressor, encodeJson, MessageCompressor } from '../src/compression.ts'

const LONG = { text: 'x'.repeat(5000) }
const ORACLES = {
  gzip: [gzipSync, gunzipSync],
  zlib: [deflateSync, inflateSync],
  deflate: [deflateRawSync, inflateRawSync],
} as const

test('compression: each algorithm is what others know by that name', async () => {
  for (const [algorithm, [pack, unpack]] of Object.entries(ORACLES)) {
    const compressor = new MessageCompressor({ algorithm: algorithm as Algorithm })
    const { bytes, compressed } = await compressor.compressJson(LONG)
    assert.ok(compressed && bytes.length < 200, algorithm)
    assert.deepEqual(JSON.parse(unpack(bytes).toString()), LONG)
    assert.deepEqual(await compressor.decompressJson(new Uint8Array(pack(JSON.stringify(LONG)))), LONG)
    assert.deepEqual(await compressor.decompress(await compressor.compress(bytes)), bytes)
  }
})

test('compression: short and dense JSON stays plain, and is read all the same', async () => {
  // From the threshold on, and when at least a tenth is saved.
  const at = { text: 'x'.repeat(1024 - '{"text":""}'.length) }
  const below = { text: at.text.slice(1) }
  const dense = {
    text: Buffer.from(crypto.getRandomValues(new Uint8Array(3000)))
      .toString('base64')
      .slice(0, 1500),
  }
  const algorithms: Algorithm[] = ['gzip', 'deflate']
  for (const algorithm of algorithms) {
    const compressor = new MessageCompressor({ algorithm })
    assert.equal((await compressor.compressJson(at)).compressed, true)
    assert.deepEqual(await compressor.compressJson(below), { bytes: encodeJson(below), compressed: false })
    assert.deepEqual(await compressor.decompressJson(encodeJson(below)), below)
  }
  const sparing = new MessageCompressor({ threshold: 0 })
  assert.equal((await sparing.compressJson(1)).compressed, false, 'it would be longer')
  assert.equal((await defaultCompressor.compressJson(dense)).compressed, true, 'base64 has a quarter to give')
  const none = new MessageCompressor({ algorithm: 'none' })
  assert.deepEqual(await none.compressJson(LONG), { bytes: encodeJson(LONG), compressed: false })
  assert.deepEqual(await none.decompressJson(encodeJson(LONG)), LONG)
})

test('compression: damage and bombs are refused', async () => {
  const bomb = new Uint8Array(gzipSync(Buffer.alloc(16 * 1024 ** 2 + 1)))
  await assert.rejects(decompress(bomb), { code: 'LIMIT' })
  assert.equal((await decompress(new Uint8Array(gzipSync(Buffer.alloc(16 * 1024 ** 2))))).length, 16 * 1024 ** 2)
  await assert.rejects(decompress(bomb.slice(0, 50)))
  await assert.rejects(defaultCompressor.decompressJson(new Uint8Array([1, 2, 3])))
  assert.throws(() => new MessageCompressor({ algorithm: 'lzma' as Algorithm }), {
    message: 'Unsupported compression: lzma',
  })
  await assert.rejects(defaultCompressor.compressJson(undefined), { code: 'FRAME_INVALID' })
})
