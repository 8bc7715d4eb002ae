import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createQuarantine, escapeBytes } from '../../src/runtime/quarantine.js';
import { fakeClock } from './fakes.js';

const bytes = (text: string): Uint8Array => Buffer.from(text);

test('keeps the newest hundred of each reason, and says one line a minute', async () => {
  const clock = fakeClock();
  const lines: [string, Readonly<Record<string, unknown>>][] = [];
  const quarantine = createQuarantine(clock, (event, facts) => void lines.push([event, facts]));
  for (let i = 0; i < 150; i++) quarantine.put('undecodable', `in/${i}`, bytes(`{"value":${i}`));
  quarantine.put('too_old', 'x'.repeat(1000), bytes('y'.repeat(1000)));
  expect(lines).toEqual([
    ['rejected', { code: 'undecodable', topic: 'in/0', head: '{"value":0', bytes: 10, count: 1 }],
    ['rejected', { code: 'too_old', topic: 'x'.repeat(512), head: 'y'.repeat(64), bytes: 1000, count: 1 }],
  ]);
  const samples = quarantine.samples();
  expect(Object.keys(samples)).toEqual(['undecodable', 'too_old']);
  expect(samples.undecodable).toHaveLength(100);
  expect(samples.undecodable![0]).toEqual({ timeMs: clock.now(), topic: 'in/50', head: '{"value":50', sizeBytes: 11 });

  await clock.advance(60_000);
  quarantine.put('undecodable', 'in/x', bytes(''));
  expect(lines.at(-1)).toEqual(['rejected', { code: 'undecodable', topic: 'in/x', head: '', bytes: 0, count: 150 }]);
});

test('any bytes are one line of printable ASCII, and can be read back', () => {
  expect(escapeBytes(Buffer.from('a\\b\n°'))).toBe('a\\x5cb\\x0a\\xc2\\xb0');
  fc.assert(
    fc.property(fc.uint8Array(), (given) => {
      const text = escapeBytes(given);
      expect(text).toMatch(/^[\x20-\x7e]*$/);
      const back = text.replace(/\\x(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
      expect(Buffer.from(back, 'latin1')).toEqual(Buffer.from(given));
    }),
  );
});
