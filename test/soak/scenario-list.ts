// All soak scenarios by name, in the order they run in.
import { bridge } from './bridge.ts'
import { chat } from './chat.ts'
import { connections } from './connections.ts'
import { echo } from './echo.ts'
import { faults } from './faults.ts'
import { hosts } from './hosts.ts'
import { hub } from './hub.ts'
import { hubHosts } from './hub-hosts.ts'
import { idle } from './idle.ts'
import { reload } from './reload.ts'
import { rooms } from './rooms.ts'
import type { Scenario } from './scenario.ts'
import { sessionProxy } from './session-proxy.ts'
import { sessionProxyHeartbeat } from './session-proxy-heartbeat.ts'
import { simulation } from './simulation.ts'
import { rings, websocketFuzz } from './suite.ts'
import { topics } from './topics.ts'

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  faults,
  connections,
  'websocket-fuzz': websocketFuzz,
  rings,
  simulation,
  reload,
  topics,
  hosts,
  chat,
  bridge,
  'session-proxy': sessionProxy,
  'session-proxy-heartbeat': sessionProxyHeartbeat,
  rooms,
  idle,
  echo,
  hub,
  'hub-hosts': hubHosts,
}
