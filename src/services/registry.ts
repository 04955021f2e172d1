// The services that come with Polyloop, one line each, and those of a user's modules. The order is part of the layout
// of shared memory: a service's index is its place in the list.
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { PolyloopError } from '../lib/errors.ts'
import { echo } from './echo/echo.ts'
import { isService, type ServiceDefinition } from './service.ts'

export const SERVICES: readonly ServiceDefinition[] = [echo as ServiceDefinition]

/** Imports `modules` (paths or file URLs) and answers all services: the built-in ones, then the modules', in order. */
export async function loadServices(modules: readonly string[]): Promise<readonly ServiceDefinition[]> {
  const services = [...SERVICES]
  for (const module of modules) {
    const url = module.startsWith('file:') ? module : pathToFileURL(resolve(module)).href
    let exported: Record<string, unknown>
    try {
      exported = (await import(url)) as Record<string, unknown>
    } catch (error) {
      throw new PolyloopError('MODULE_INVALID', { module, problem: String(error) }, { cause: error })
    }
    const found = Object.values(exported).filter(isService)
    if (found.length === 0) throw new PolyloopError('MODULE_INVALID', { module, problem: 'it exports no service' })
    for (const service of found) {
      if (services.some(({ name }) => name === service.name)) {
        throw new PolyloopError('MODULE_INVALID', { module, problem: `there is a service ${service.name} already` })
      }
      services.push(service)
    }
  }
  return services
}
