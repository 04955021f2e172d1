// What can be configured of rooms.
import { duration, size, string } from '../../config/kind.ts'
import { type ConfigOf, option } from '../../config/option.ts'

export const ROOMS_OPTIONS = {
  loginTimeout: option(
    duration({ min: '100ms', max: '1h' }),
    '30s',
    'A connection whose login is not accepted so long after it was opened is closed.',
  ),
  stallTimeout: option(
    duration({ min: '100ms', max: '1h' }),
    '30s',
    'A frame that has begun must progress by a byte in so long; otherwise its connection is closed.',
  ),
  recipientTimeout: option(
    duration({ min: '1s', max: '1h' }),
    '60s',
    'A member that takes no byte for so long while output waits for it is dropped.',
  ),
  maxContentBytes: option(
    size({ min: '1KiB', max: '1024GiB' }),
    '64MiB',
    'Largest content of one message; a larger one ends the connection, unread.',
  ),
  maxSpoolBytes: option(
    size({ max: '65536GiB' }),
    '1GiB',
    'What contents over 256 KiB take up on disk, until the last recipient has them; beyond it they are refused.',
  ),
  spoolDirectory: option(
    string(),
    'data/rooms',
    'Where contents over 256 KiB wait: a directory of its own on this host, made when the first one comes.',
  ),
} as const

export type RoomsConfig = ConfigOf<typeof ROOMS_OPTIONS>
