// Clients of a hub that are all cut at once and come back with their tokens, as a program: prints how long that took.
import { HubCrowd } from '../test/harness/hub-crowd.ts'

const [port = '', count = ''] = process.argv.slice(2)
const crowd = await HubCrowd.gather({ count: Number(count), url: (query) => `ws://127.0.0.1:${port}/ws${query}` })
const { backMs, wrong, fresh, gaps } = await crowd.storm()
console.log(JSON.stringify({ backMs, wrong: wrong + fresh + gaps }))
process.exit()
