// A process that trusts the test's certificate (NODE_EXTRA_CA_CERTS is read at start): argument is a URL; prints what it read.
import { bytes, DirectBridge, redisFactory } from '../bridge/bridge-fixture.ts'

const [url = ''] = process.argv.slice(2)
await using direct = await new DirectBridge((wheel) => redisFactory(url, wheel)).up()
await direct.bridge.set({ key: 'k', value: bytes('over TLS') })
console.log(String(await direct.bridge.get({ key: 'k' })))
