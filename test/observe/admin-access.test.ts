import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { refusalOf } from '../../src/observe/admin-access.ts'

const OPEN = { hosts: ['admin.example'], token: undefined }
const CLOSED = { hosts: [], token: 'hunter2:x' }

function get(
  headers: Readonly<Record<string, string>>,
  path = '/metrics',
  rules: Parameters<typeof refusalOf>[1] = OPEN,
) {
  return refusalOf({ method: 'GET', path, headers }, rules)?.status
}

test('admin access: Host may be a loopback name, an address or a listed name', () => {
  for (const host of [
    'localhost',
    'LOCALHOST:9464',
    'localhost.',
    '127.0.0.1',
    '10.1.2.3:80',
    '[::1]',
    '[fe80::1]:9464',
    'Admin.Example:9464',
  ]) {
    assert.equal(get({ host }), undefined, host)
  }
  for (const host of [
    '',
    'evil.example',
    'localhost.evil.example',
    'admin.example.evil',
    '127.0.0.1.evil.example',
    '127.0.0.1:9464:9464',
    '[evil]',
    '[::1]x',
    '::1',
    'localhost:123456',
    'user@localhost',
    'localhost/',
  ]) {
    assert.equal(get({ host }), 403, host)
  }
  assert.equal(get({}), 403)
})

test('admin access: an Origin must be the host that is asked', () => {
  assert.equal(get({ host: 'localhost:9464', origin: 'http://localhost:9464' }), undefined)
  assert.equal(get({ host: 'admin.example', origin: 'https://admin.example' }), undefined)
  for (const origin of [
    'null',
    'http://evil.example',
    'http://localhost',
    'http://localhost:9465',
    'http://127.0.0.1:9464',
  ]) {
    assert.equal(get({ host: 'localhost:9464', origin }), 403, origin)
  }
})

test('admin access: with a token, Bearer and Basic open all paths, and probes need neither', () => {
  const host = 'localhost'
  const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`
  for (const authorization of [
    'Bearer hunter2:x',
    'bearer  hunter2:x',
    basic('anyone:hunter2:x'),
    basic(':hunter2:x'),
  ]) {
    assert.equal(get({ host, authorization }, '/metrics', CLOSED), undefined, authorization)
  }
  for (const authorization of [
    '',
    'Bearer',
    'Bearer hunter2',
    'Bearer hunter2:xx',
    'Digest hunter2:x',
    'hunter2:x',
    basic('hunter2:x'),
    basic('hunter2'),
    'Basic !!!',
  ]) {
    assert.equal(get({ host, authorization }, '/metrics', CLOSED), 401, authorization)
  }
  assert.equal(get({ host }, '/health', CLOSED), undefined)
  assert.equal(get({ host }, '/ready', CLOSED), undefined)
  assert.equal(get({ host }, '/health/', CLOSED), 401)
  assert.equal(get({ host: 'evil.example' }, '/health', CLOSED), 403)
})

test('admin access: a POST needs application/json, after everything else', () => {
  const post = (headers: Readonly<Record<string, string>>) =>
    refusalOf({ method: 'POST', path: '/api/v1/drain', headers: { host: 'localhost', ...headers } }, OPEN)?.status
  assert.equal(post({ 'content-type': 'application/json' }), undefined)
  assert.equal(post({ 'content-type': 'Application/JSON; charset=utf-8' }), undefined)
  assert.equal(post({}), 415)
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'text/plain;application/json',
    'application/jsonp',
  ]) {
    assert.equal(post({ 'content-type': type }), 415, type)
  }
  assert.equal(post({ 'content-type': 'text/plain', origin: 'http://evil.example' }), 403)
})

test('admin access: any bytes in the headers are refused, never thrown at', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), (host, origin, authorization) => {
      const status = get({ host, origin, authorization }, '/metrics', CLOSED)
      assert.ok(status === 401 || status === 403)
    }),
  )
})
