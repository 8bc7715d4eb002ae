import fc from 'fast-check';
import { expect, test } from 'vitest';
import { clientId, createTopics, isSegment, parseTopic } from '../../src/contracts/topic.js';

const name = { base: 'neuro-divergent', site: 'plant1', device: 'pi7' };
const topics = createTopics(name);

test('the topics of a device', () => {
  expect([
    topics.status,
    topics.desired,
    topics.in('boiler'),
    topics.alert('boiler', 'anomaly'),
    topics.allInputs,
    clientId(name),
  ]).toEqual([
    'neuro-divergent/plant1/pi7/status',
    'neuro-divergent/plant1/pi7/model/desired',
    'neuro-divergent/plant1/pi7/in/boiler',
    'neuro-divergent/plant1/pi7/alert/boiler/anomaly',
    'neuro-divergent/plant1/pi7/in/+',
    'nd-plant1-pi7',
  ]);
});

test.each([
  [topics.status, 'status'],
  [topics.in('boiler'), 'in'],
  [topics.desired, 'model'],
  [topics.alert('boiler', 'anomaly'), 'alert'],
  [`${topics.prefix}/cmd/ping`, 'cmd'],
  [`${topics.prefix}/toString`, 'other'],
  [topics.prefix, 'other'],
  ['neuro-divergent/plant1/pi77/status', 'other'],
  ['zigbee2mqtt/boiler', 'other'],
])('a message on %s is of class %s', (topic, messageClass) => {
  expect(topics.classOf(topic)).toBe(messageClass);
});

test('a topic is taken apart into what it was built from', () => {
  const segment = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
  fc.assert(
    fc.property(segment, segment, segment, segment, segment, (base, site, device, stream, alertKind) => {
      const built = createTopics({ base, site, device });
      expect(parseTopic(built.alert(stream, alertKind))).toEqual({
        base,
        site,
        device,
        kind: 'alert',
        stream,
        alertKind,
      });
      expect(parseTopic(built.forecast(stream))).toEqual({ base, site, device, kind: 'forecast', stream });
      expect(parseTopic(built.reported)).toEqual({ base, site, device, kind: 'reported' });
    }),
  );
});

test.each(['', 'a/b', 'a/b/c', 'a/b/c/in/', 'a/b/c/in/x/y', 'a/b/c/in/+', 'a b/c/d/status', 'zigbee2mqtt/lamp'])(
  '%j is none of ours',
  (topic) => {
    expect(parseTopic(topic)).toBeUndefined();
  },
);

test.each(['', 'a/b', '+', '#', 'a\0', 'ä', 'x'.repeat(65)])(
  '%j is no segment, and no topic is built from it',
  (segment) => {
    expect(isSegment(segment)).toBe(false);
    expect(() => topics.in(segment)).toThrow(/not a topic segment/);
    expect(() => createTopics({ ...name, site: segment })).toThrow(/topic.site/);
  },
);
