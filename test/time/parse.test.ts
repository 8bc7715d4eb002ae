import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { daysInMonth, formatTime, hasZone, parseInteger, parseTime } from '../../src/time/parse.js';

describe('parseTime', () => {
  test.each([
    ['2013-12-02 21:15:00', Date.UTC(2013, 11, 2, 21, 15)],
    ['2013-12-02T21:15', Date.UTC(2013, 11, 2, 21, 15)],
    ['2013-12-02', Date.UTC(2013, 11, 2)],
    ['2013-12-02T21:15:00.250Z', Date.UTC(2013, 11, 2, 21, 15, 0, 250)],
    ['2013-12-02 21:15:00.000000', Date.UTC(2013, 11, 2, 21, 15)],
    ['2013-12-02 21:15:00.1239', Date.UTC(2013, 11, 2, 21, 15, 0, 123)],
    ['2013-12-02T21:15:00+01:00', Date.UTC(2013, 11, 2, 20, 15)],
    ['2013-12-02T21:15:00-0530', Date.UTC(2013, 11, 3, 2, 45)],
    ['2013-12-02T21:15:00+01', Date.UTC(2013, 11, 2, 20, 15)],
    ['1900-02-28', Date.UTC(1900, 1, 28)],
    ['2000-02-29', Date.UTC(2000, 1, 29)],
  ])('reads %s', (text, ms) => {
    expect(parseTime(text)).toBe(ms);
  });

  test.each([
    '',
    'abc',
    '2013',
    '2013-13-01',
    '2013-02-29',
    '1900-02-29',
    '2013-12-02 24:00:00',
    '2013-12-02 21:60',
    '2013-12-02 21:15:61',
    '2013-12-02 21:15:00.',
    '2013-12-02 21:15:00+',
    '2013-12-02 21:15:00+1:00',
    '2013-12-02 21:15:00 PM',
    '2013-12-02x21:15',
    '02/12/2013',
  ])('refuses “%s”', (text) => {
    expect(parseTime(text)).toBeNaN();
  });

  test('agrees with Date over the whole calendar', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }),
        (date) => {
          expect(parseTime(date.toISOString())).toBe(date.getTime());
          expect(parseTime(formatTime(date.getTime()))).toBe(date.getTime());
        },
      ),
    );
  });
});

test('hasZone tells a zone from a date’s dashes', () => {
  expect(['2013-12-02T21:15:00Z', '2013-12-02T21:15+01:00', '2013-12-02 21:15:00-0530'].every(hasZone)).toBe(true);
  expect(['2013-12-02', '2013-12-02 21:15:00', '2013-12-02 21:15:00.125'].some(hasZone)).toBe(false);
});

test('parseInteger reads whole numbers only, within 2^53', () => {
  expect(parseInteger('-42')).toBe(-42);
  expect(['1.5', '', '1e3', '9007199254740993'].map(parseInteger)).toEqual([NaN, NaN, NaN, NaN]);
});

test('daysInMonth knows the leap rule', () => {
  expect([daysInMonth(1900, 2), daysInMonth(2000, 2), daysInMonth(2024, 2), daysInMonth(2023, 4)]).toEqual([
    28, 29, 29, 30,
  ]);
});
