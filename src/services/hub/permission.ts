// Who may do what, as it is configured. [PROTOCOLS 4.5]
import type { HubConfig } from './config.ts'
import { isGranted } from './config-kind.ts'

export const ANONYMOUS = 'anonymous'
/** Whose token may see who is connected, and broadcast over HTTP. */
export const ADMIN = 'admin'

export class Permissions {
  readonly channels: readonly string[]
  readonly #roles: HubConfig['roles']

  constructor({ channels, roles }: Pick<HubConfig, 'channels' | 'roles'>) {
    this.channels = channels
    this.#roles = roles
  }

  isChannel(name: string): boolean {
    return this.channels.includes(name)
  }

  maySubscribe(role: string, channel: string): boolean {
    return this.isChannel(channel) && isGranted(grantsOf(this.#roles.subscribe, role), channel)
  }

  mayBroadcast(role: string, channel: string): boolean {
    return this.isChannel(channel) && isGranted(grantsOf(this.#roles.broadcast, role), channel)
  }

  /** To any channel at all: who may not is not told which there are. */
  broadcasts(role: string): boolean {
    return this.channels.some((channel) => this.mayBroadcast(role, channel))
  }
}

/** Roles come from tokens: `constructor` is none. */
function grantsOf(all: Readonly<Record<string, readonly string[]>>, role: string): readonly string[] | undefined {
  return Object.hasOwn(all, role) ? all[role] : undefined
}
