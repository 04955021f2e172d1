import { describe } from 'node:test'
import { localFactory } from './bridge-fixture.ts'
import { contractOf } from './contract-subject.ts'

describe('local bridge', () => contractOf(localFactory))
