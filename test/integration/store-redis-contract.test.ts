// The contract of the store over a real Redis server, answered when the server has done it.
import { after, before } from 'node:test'
import { storeContract } from '../store/contract.ts'
import type { RedisStoreSubject } from '../store/redis-store-fixture.ts'
import { startRedisStore } from '../store/redis-store-fixture.ts'

let subject: RedisStoreSubject

before(async () => {
  subject = await startRedisStore()
})

after(() => subject[Symbol.asyncDispose]())

storeContract('redis', () => subject.fresh())
