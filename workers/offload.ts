// Entry point of a thread of the offload pool: runs one exported function of a module per task.
import { PolyloopError } from '../src/lib/errors.ts'

export interface OffloadTask {
  readonly module: string
  readonly name: string
  readonly argument: unknown
}

/** Called by Piscina. */
export async function run({ module, name, argument }: OffloadTask): Promise<unknown> {
  const exported = (await import(module)) as Record<string, unknown>
  const task = exported[name]
  if (typeof task !== 'function')
    throw new PolyloopError('MODULE_INVALID', { module, problem: `it exports no function ${name}` })
  return task(argument)
}
