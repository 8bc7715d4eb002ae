/** The report as a reader sees it: in a browser, wide and narrow, light and dark. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { renderReport, type Report, type ReportBlock } from '../../src/evaluate/report.js';
import { findProgram } from '../program.js';

const hours = 2000;
const x = Array.from({ length: hours }, (_, i) => Date.UTC(2024, 0) + i * 3_600_000);
const y = x.map((_, i) => 70 + 5 * Math.sin(i / 24) + (i % 7));
const charts: ReportBlock[] = [
  {
    kind: 'chart',
    title: 'What the device saw, expected and raised',
    description: 'Readings, the forecast with its interval, labelled failures and alerts.',
    x: { kind: 'time' },
    y: { label: '°F' },
    lines: [
      { name: 'reading', x, y, colour: 'ink' },
      { name: 'forecast, one step ahead', x, y: y.map((value) => value + 1), dashed: true },
    ],
    bands: [{ name: '90 % interval', x, lo: y.map((value) => value - 3), hi: y.map((value) => value + 3) }],
    ranges: {
      name: 'labelled failure',
      spans: [
        { from: x[900]!, to: x[1000]!, label: 'a failure of the coolant system' },
        { from: x[1010]!, to: x[1990]!, label: 'another, up to the very end of the data' },
      ],
    },
    markers: [
      { name: 'alert opened', shape: 'triangle', points: [{ x: x[0]!, label: 'first' }, { x: x.at(-1)!, label: 'last' }] }, // prettier-ignore
    ],
  },
  {
    kind: 'chart',
    title: 'Learning',
    description: 'The loss at each check, on a logarithmic axis.',
    x: { kind: 'linear', label: 'training step' },
    y: { kind: 'log', label: 'validation loss' },
    lines: [{ name: 'nhits', x: [0, 100, 200, 300], y: [10, 1, 0.1, 0.0123] }],
  },
];
const columns = ['model', 'MAE', 'RMSE', 'sMAPE', 'MASE', 'coverage of the 90 % interval', 'seconds to train'];
const report: Report = {
  title: 'neuro-divergent: temperature of a large industrial machine with a name that is rather long',
  subtitle: 'One sentence on what was done, with_a_name_that_no_browser_can_break_at_a_space_since_it_has_none.',
  cards: ['Failures found', 'Alerts', 'Forecasts', 'Interval', 'Inference'].map((label) => ({
    label,
    value: '12 345.6 ms',
    note: 'of values inside, 90 % promised',
    tone: 'good' as const,
  })),
  blocks: [
    ...charts,
    { kind: 'table', title: 'Held-out windows', columns, rows: [['nhits', 1.2345, 2, 3, 4, 5, 6]], highlight: 0 },
    { kind: 'table', title: 'Beside it', columns: ['', 'FP32', 'INT8'], rows: [['file', '10.4 kB', '3.9 kB']] },
    { kind: 'text', title: 'What it means', paragraphs: ['A paragraph.'] },
  ],
  notes: ['Data: MIT licence.'],
};

const widths = [1280, 390];
const schemes = ['light', 'dark'] as const;
const views = widths.flatMap((width) => schemes.map((colorScheme) => ({ width, colorScheme })));
const executablePath = findProgram('chromium');

/** Contrast of an element's text with what lies behind it, as WCAG 2 counts: 4.5 is enough to read. */
const contrast = (selector: string): string => `(() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => channels(colour).slice(0, 3)
    .map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const element = document.querySelector('${selector}');
  let behind = element;
  while (behind.parentElement && channels(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  const shades = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor].map(light).sort();
  return (shades[1] + 0.05) / (shades[0] + 0.05);
})()`;

describe.skipIf(executablePath === undefined)('in Chromium', () => {
  let folder: string;
  let browser: Browser;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'nd-report-'));
    writeFileSync(join(folder, 'report.html'), renderReport(report));
    browser = await chromium.launch({ executablePath: executablePath!, args: ['--no-sandbox'] });
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true });
  });

  /** Opens the report; `complaints` are errors on the console and requests for anything else. */
  async function open(width: number, colorScheme: 'light' | 'dark'): Promise<{ page: Page; complaints: string[] }> {
    const url = pathToFileURL(join(folder, 'report.html')).href;
    const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
    const complaints: string[] = [];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('request', (request) => {
      if (request.url() !== url) complaints.push(request.url());
    });
    await page.goto(url, { waitUntil: 'networkidle' });
    return { page, complaints };
  }

  test.each(views)(
    '$width px wide, $colorScheme: nothing is missing, cut off or loaded',
    async ({ width, colorScheme }) => {
      const { page, complaints } = await open(width, colorScheme);
      expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);

      const figures = await page.locator('figure').all();
      expect(figures).toHaveLength(charts.length);
      for (const [i, figure] of figures.entries()) {
        const title = charts[i]!.title;
        expect(await figure.locator('h2').textContent()).toBe(title);
        expect(await figure.getByRole('img', { name: title }).count()).toBe(1); // what a screen reader finds
        for (const part of ['svg', 'path.line >> nth=0', '.legend', 'figcaption']) {
          const box = (await figure.locator(part).boundingBox())!;
          expect(box.x).toBeGreaterThanOrEqual(0);
          expect(box.x + box.width).toBeLessThanOrEqual(width);
          expect(box.width).toBeGreaterThan(0.6 * width - 100);
          expect(box.height).toBeGreaterThan(part === 'svg' ? 200 : 10);
        }
      }
      for (const selector of [
        'h1',
        'header p',
        'dt',
        '.value',
        '.note',
        'h2',
        '.legend li',
        'figcaption',
        'thead th',
        'td',
        'footer p',
      ])
        expect(await page.evaluate<number>(contrast(selector)), selector).toBeGreaterThan(4.5);
      expect(complaints).toEqual([]);
      await page.close();
    },
  );

  test('light and dark differ', async () => {
    const background = async (scheme: 'light' | 'dark'): Promise<string> => {
      const { page } = await open(1280, scheme);
      return page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
    };
    expect(await background('light')).not.toBe(await background('dark'));
  });
});
