import { describe, expect, test } from 'vitest';
import { type Chart, renderChart } from '../../src/evaluate/chart.js';
import { renderReport } from '../../src/evaluate/report.js';

const wave = (n: number): { x: Float64Array; y: Float64Array } => ({
  x: Float64Array.from({ length: n }, (_, i) => Date.UTC(2020, 0) + i * 60_000),
  y: Float64Array.from({ length: n }, (_, i) => Math.sin(i / 50)),
});
const chart = (parts: Partial<Chart>): Chart => ({
  title: 'Readings',
  description: 'What is seen.',
  x: { kind: 'time' },
  y: { label: '°C' },
  ...parts,
});

describe('renderChart', () => {
  test('says what it shows to a screen reader', () => {
    const html = renderChart(chart({ lines: [{ name: 'reading', ...wave(10) }] }), 'c1');
    expect(html).toContain('role="img" aria-labelledby="c1-title c1-desc"');
    expect(html).toContain('<title id="c1-title">Readings</title><desc id="c1-desc">What is seen.</desc>');
  });

  test('a missing value breaks the line, and a lone point still shows', () => {
    const html = renderChart(
      chart({ lines: [{ name: 'a', x: [0, 1, 2, 3, 4], y: [0, 1, NaN, 1, NaN] }], x: { kind: 'linear' } }),
      'c1',
    );
    expect(html).toContain('d="M0 288.9L250 11.1M750 11.1h.1"');
  });

  test('a spike of one row survives thinning', () => {
    const { x, y } = wave(100_000);
    y[54_321] = 40;
    const html = renderChart(chart({ lines: [{ name: 'a', x, y }], y: { min: -1, max: 40 } }), 'c1');
    expect(html).toMatch(/path class="line blue" d="[^"]*L543(\.\d)? 0L/);
    expect(html.length).toBeLessThan(60_000);
  });

  test('bands, ranges, markers and the legend name what there is', () => {
    const { x, y } = wave(100);
    const html = renderChart(
      chart({
        lines: [{ name: 'reading', x, y, dashed: true }],
        bands: [{ name: '90 %', x, lo: y.map((v) => v - 1), hi: y.map((v) => v + 1) }],
        ranges: {
          name: 'labelled window',
          spans: [
            { from: x[10]!, to: x[20]!, label: 'the first fault' },
            { from: x[22]!, to: x[30]!, label: 'second fault' },
            { from: 0, to: 1 },
          ],
        },
        markers: [
          {
            name: 'alert opened',
            shape: 'triangle',
            points: [
              { x: x[15]!, y: 0, label: 'opened at 00:15' },
              { x: 0, label: 'outside' },
            ],
          },
        ],
      }),
      'c1',
    );
    for (const text of [
      'reading</li>',
      '90 %</li>',
      'labelled window</li>',
      'alert opened</li>',
      'title="opened at 00:15"',
      'class="span raised"',
      'line blue dashed',
    ])
      expect(html).toContain(text);
    expect(html.match(/class="range"/g)).toHaveLength(2);
    expect(html).not.toContain('outside');
  });

  test.each<[string, Partial<Chart>]>([
    ['nothing', {}],
    ['nothing but missing values', { lines: [{ name: 'a', x: [1, 2], y: [NaN, NaN] }] }],
    ['a constant', { lines: [{ name: 'a', x: [5, 5], y: [3, 3] }] }],
    [
      'zeros on a log axis',
      { lines: [{ name: 'a', x: [1, 2, 3], y: [0, 1, 10] }], x: { kind: 'linear' }, y: { kind: 'log' } },
    ],
    ['infinite values', { bands: [{ name: 'a', x: [1, 2, 3], lo: [0, -Infinity, 1], hi: [1, Infinity, 2] }] }],
  ])('%s is drawn without a broken number', (_, parts) => {
    expect(renderChart(chart(parts), 'c1').replace(/<title.*desc>/s, '')).not.toMatch(/NaN|Infinity|undefined/);
  });
});

describe('renderReport', () => {
  test('is one page that loads and runs nothing', () => {
    const html = renderReport({
      title: 'Demo',
      subtitle: 'In short.',
      cards: [{ label: 'MAE', value: '0.7 °C', note: 'held out', tone: 'good' }],
      blocks: [
        { kind: 'chart', ...chart({ lines: [{ name: 'a', ...wave(50) }] }) },
        {
          kind: 'table',
          title: 'Leaderboard',
          columns: ['model', 'MAE'],
          rows: [
            ['NHITS', 0.71234],
            ['naive', NaN],
          ],
          highlight: 0,
        },
        { kind: 'text', title: 'Words', paragraphs: ['One.', 'Two.'] },
      ],
      notes: ['MIT'],
    });
    expect(html).toContain("default-src 'none'");
    expect(html).not.toMatch(/<script|https?:|url\(|@import|<link|<img/);
    expect(html).toContain(
      '<tr class="best"><th scope="row">NHITS</th><td>0.7123</td></tr><tr><th scope="row">naive</th><td>–</td></tr>',
    );
    expect(html).toContain('<p>One.</p><p>Two.</p>');
  });

  test('text from outside cannot become markup', () => {
    const evil = '<img src=x onerror="alert(1)">&';
    const html = renderReport({
      title: evil,
      subtitle: evil,
      cards: [{ label: evil, value: evil, note: evil }],
      notes: [evil],
      blocks: [
        {
          kind: 'chart',
          ...chart({
            title: evil,
            description: evil,
            x: { kind: 'linear', label: evil },
            y: { label: evil },
            lines: [{ name: evil, x: [0, 1], y: [0, 1] }],
            ranges: { name: evil, spans: [{ from: 0, to: 1, label: evil }] },
            markers: [{ name: evil, shape: 'circle', points: [{ x: 0, label: evil }] }],
          }),
        },
        { kind: 'table', title: evil, description: evil, columns: [evil], rows: [[evil]] },
        { kind: 'text', title: evil, paragraphs: [evil] },
      ],
    });
    expect(html).not.toContain('<img');
    expect(html).not.toMatch(/="[^"<>]*"alert/);
  });

  test('stays below 1.5 MB with five charts of a million rows', () => {
    const long = wave(1_000_000);
    const html = renderReport({
      title: 'Long',
      blocks: Array.from({ length: 5 }, () => ({
        kind: 'chart' as const,
        ...chart({ lines: [{ name: 'a', ...long }], bands: [{ name: 'b', x: long.x, lo: long.y, hi: long.y }] }),
      })),
    });
    expect(html.length).toBeLessThan(1.5e6);
  });
});
