// What the hub's HTTP API answers: JSON, and errors as `{"detail":text}`. [PROTOCOLS 4.10]
import type { FastifyReply } from 'fastify'

export const HTTP_TEXT = {
  notFound: 'Not Found',
  methodWrong: 'Method Not Allowed',
  bodyTooLarge: 'the body is larger than 1 MiB',
  bodyNotJson: 'Content-Type must be application/json',
  bodyNoObject: 'the body must be a JSON object',
  notAuthenticated: 'Not authenticated',
  notAllowed: 'Not enough permissions',
  channelMissing: 'channel is missing',
  loginWrong: 'Incorrect username or password',
  loginBad: 'username and password must be strings',
  tooMany: 'Too many requests',
  overloaded: 'The server is overloaded',
  failed: 'Internal server error',
} as const

const JSON_TYPE = 'application/json; charset=utf-8'

export function sendJson(reply: FastifyReply, status: number, body: object): FastifyReply {
  return reply.code(status).header('content-type', JSON_TYPE).send(JSON.stringify(body))
}

export function sendDetail(reply: FastifyReply, status: number, detail: string): FastifyReply {
  return sendJson(reply, status, { detail })
}
