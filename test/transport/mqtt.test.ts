import fc from 'fast-check';
import { expect, test } from 'vitest';
import { backoffDelay, connectMqtt, faultOf } from '../../src/transport/mqtt.js';

test('the backoff has full jitter below a ceiling that doubles up to the last one', () => {
  expect([0, 1, 2, 10, 2000].map((attempt) => backoffDelay(attempt, () => 0.5))).toEqual([
    500, 1000, 2000, 30_000, 30_000,
  ]);
  fc.assert(
    fc.property(fc.nat(), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (attempt, random) => {
      const delay = backoffDelay(attempt, () => random);
      expect(delay).toBeGreaterThanOrEqual(0);
      expect(delay).toBeLessThanOrEqual(60_000);
    }),
  );
});

test.each([
  [{ code: 134, message: 'Connection refused: Bad User Name or Password' }, 'bad_credentials'],
  [{ code: 5, message: 'Connection refused: Not authorized' }, 'bad_credentials'],
  [{ code: 142, message: 'the broker disconnected with code 142' }, 'session_taken_over'],
  [{ code: 138, message: 'Connection refused: Banned' }, 'refused'],
  [{ code: 'not_stored', message: 'a message was not stored: database or disk is full' }, 'not_stored'],
  [{ code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 127.0.0.1:1' }, 'unreachable'],
  [{ code: 'ECONNREFUSED', message: '' }, 'unreachable'],
  [{ code: 'ENOTFOUND', message: 'getaddrinfo ENOTFOUND broker' }, 'unreachable'],
  [{ code: 'ETIMEDOUT', message: 'connect ETIMEDOUT 10.0.0.1:1883' }, 'timed_out'],
  [{ message: 'connack timeout' }, 'timed_out'],
  [{ message: 'Keepalive timeout' }, 'timed_out'],
  [{ code: 'DEPTH_ZERO_SELF_SIGNED_CERT', message: 'self-signed certificate' }, 'tls'],
  [{ code: 'ERR_OSSL_PEM_NO_START_LINE', message: 'error:0480006C:PEM routines::no start line' }, 'tls'],
  [{ code: 'ECONNRESET', message: 'read ECONNRESET' }, 'closed'],
  [{ message: 'the connection was closed' }, 'closed'],
  [{ message: 'Malformed packet' }, 'other'],
])('%j is counted as %s', (failure, fault) => {
  expect(faultOf(failure)).toBe(fault);
});

const connect = (url: string, more = {}) =>
  connectMqtt({
    url,
    clientId: 'nd-a-b',
    subscriptions: [],
    onMessage: () => undefined,
    onLink: () => undefined,
    ...more,
  });

test.each<[string, object, RegExp]>([
  ['mqtts://broker.example', {}, /no CA/],
  ['wss://me:secret@broker.example/?token=secret', {}, /^(?!.*secret).*no CA/],
  ['mqtt://me:secret@8.8.8.8', {}, /^(?!.*secret).*unencrypted to 8\.8\.8\.8/],
  ['mqtt://8.8.8.8', { password: 'x', allowInsecure: 'private' }, /unencrypted to 8\.8\.8\.8/],
  ['mqtt://10.evil.example', { password: 'x', allowInsecure: 'private' }, /unencrypted/],
  ['mqtt://127.evil.example', { password: 'x' }, /unencrypted/],
  ['mqtt://192.168.1.5', { password: 'x' }, /allow_insecure/],
  ['mqtt://[2001:db8::1]', { password: 'x', allowInsecure: 'private' }, /unencrypted/],
])('%s with %j is refused', (url, more, message) => {
  expect(() => connect(url, more)).toThrow(
    expect.objectContaining({ code: 'ND_CONFIG_CONFLICT', message: expect.stringMatching(message) as string }),
  );
});

test.each<[string, object]>([
  ['mqtt://127.0.0.1:1', { password: 'x' }],
  ['mqtt://[::1]:1', { password: 'x' }],
  ['mqtt://192.168.1.5:1', { password: 'x', allowInsecure: 'private' }],
  ['mqtt://mosquitto:1', { password: 'x', allowInsecure: 'private' }],
  ['mqtt://hub.local:1', { password: 'x', allowInsecure: 'private' }],
  ['mqtt://broker.example:1', {}],
])('%s with %j is allowed', async (url, more) => {
  await connect(url, more).close();
});
