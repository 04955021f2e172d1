// Which folder may import which: the whole table. A folder may import itself and the folders named beside it;
// type imports count. test/tidy/layers.test.ts holds the code against it.

const lib = ['lib'] as const
const base = [...lib, 'ring', 'timer', 'placement', 'config', 'observe'] as const
const transport = [...base, 'net', 'bridge', 'store'] as const

export const LAYERS: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  ring: lib,
  timer: lib,
  placement: lib,
  config: lib,
  observe: lib,
  net: base,
  bridge: base,
  store: base,
  actor: transport,
  // Services see connections, actors, topics, the bridge and the store: never a thread or a ring.
  services: ['lib', 'config', 'observe', 'net', 'bridge', 'store', 'actor'],
  runtime: [...transport, 'actor', 'services'],
  cli: [...transport, 'actor', 'services', 'runtime'],
}
