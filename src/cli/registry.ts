// The commands, one line each. A command's file is loaded only when the command was chosen: help stays fast.
import type { CommandRow } from './command.ts'

export const COMMANDS: readonly CommandRow[] = [
  { name: 'config', summary: 'print or check the configuration', load: () => import('./config.ts') },
  { name: 'placement', summary: 'slot and shard of a session key', load: () => import('./placement.ts') },
]
