// The commands, one line each. A command's file is loaded only when the command was chosen: help stays fast.
import type { CommandRow } from './command.ts'

export const COMMANDS: readonly CommandRow[] = [
  { name: 'start', summary: 'run the services', load: () => import('./start.ts') },
  { name: 'echo-server', summary: 'run the echo service alone', load: () => import('./echo-server.ts') },
  { name: 'rooms-server', summary: 'run the rooms service alone', load: () => import('./rooms-server.ts') },
  {
    name: 'echo-client',
    summary: 'TCP client: says one thing, prints what comes back',
    load: () => import('./echo-client.ts'),
  },
  {
    name: 'chat-tcp',
    summary: 'chat over TCP: send a message, read a page, follow a chat',
    load: () => import('./chat-tcp.ts'),
  },
  { name: 'chat-udp', summary: 'chat over UDP: ping, status, typing', load: () => import('./chat-udp.ts') },
  {
    name: 'auth-token-setter',
    summary: 'session proxy: sets the token of a session',
    load: () => import('./auth-token-setter.ts'),
  },
  {
    name: 'redis-publisher',
    summary: 'session proxy: messages down to a session, as a backend',
    load: () => import('./redis-publisher.ts'),
  },
  {
    name: 'redis-subscriber',
    summary: 'session proxy: prints what comes up from a session, as a backend',
    load: () => import('./redis-subscriber.ts'),
  },
  {
    name: 'ws-bidir-client',
    summary: 'session proxy: a client that pings, and prints what comes down',
    load: () => import('./ws-bidir-client.ts'),
  },
  {
    name: 'rooms-client',
    summary: 'a member of a room: messages, files, private messages',
    load: () => import('./rooms-client.ts'),
  },
  {
    name: 'hub',
    summary: 'hub: a client that prints what channels say',
    load: () => import('./hub.ts'),
  },
  { name: 'hub-recipes', summary: 'hub: ten ways to use that client', load: () => import('./hub-recipes.ts') },
  { name: 'hub-demo', summary: 'hub: shows what it does, on a running one', load: () => import('./hub-demo.ts') },
  {
    name: 'load-test',
    summary: 'load generator for WebSocket, TCP, UDP, HTTP, chat, rooms, the hub and the session proxy',
    load: () => import('./load-test.ts'),
  },
  { name: 'config', summary: 'print or check the configuration', load: () => import('./config.ts') },
  {
    name: 'cluster',
    summary: 'hosts and a Redis on this machine, to try things out',
    load: () => import('./cluster.ts'),
  },
  { name: 'top', summary: 'the shards of the running server, live', load: () => import('./top.ts') },
  {
    name: 'actors',
    summary: 'kinds of actors, slowest handlers, fullest mailboxes',
    load: () => import('./actors.ts'),
  },
  { name: 'reload', summary: 'new code and configuration, nobody disconnected', load: () => import('./reload.ts') },
  { name: 'shards', summary: 'change the number of shards', load: () => import('./shards.ts') },
  { name: 'drain', summary: 'end the running server, as SIGTERM does', load: () => import('./drain.ts') },
  { name: 'placement', summary: 'slot and shard of a session key', load: () => import('./placement.ts') },
]
