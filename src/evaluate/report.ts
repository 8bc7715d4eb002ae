/** One self-contained HTML page: figures, charts and tables, in light and dark, on paper and on a phone. No network. */

import { type Chart, escapeHtml, renderChart } from './chart.js';
import { formatNumber } from './table.js';

/** A figure to see first, such as an error or a number of alerts. */
export interface ReportCard {
  readonly label: string;
  readonly value: string;
  readonly note?: string;
  /** Colours the value: did it go well? */
  readonly tone?: 'good' | 'bad';
}

export interface ReportTable {
  readonly title: string;
  readonly description?: string;
  readonly columns: readonly string[];
  /** Numbers are shown with four digits and, like all columns but the first, at the right. */
  readonly rows: readonly (readonly (string | number)[])[];
  /** Place of the row to stress, such as the best model. */
  readonly highlight?: number;
}

export type ReportBlock =
  | ({ readonly kind: 'chart' } & Chart)
  | ({ readonly kind: 'table' } & ReportTable)
  /** Plain sentences, one paragraph each, under a heading. */
  | { readonly kind: 'text'; readonly title: string; readonly paragraphs: readonly string[] };

export interface Report {
  readonly title: string;
  /** One sentence below the title. */
  readonly subtitle?: string;
  readonly cards?: readonly ReportCard[];
  /** From top to bottom. Two tables in a row stand side by side where there is room. */
  readonly blocks: readonly ReportBlock[];
  /** Small print at the end: where the data comes from, versions, the command. */
  readonly notes?: readonly string[];
}

/** The report as HTML. Long series are thinned to the width of the page, so it stays small whatever it shows. */
export function renderReport(report: Report): string {
  const blocks = report.blocks.map((block, i) => renderBlock(block, `c${i}`));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(report.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>${escapeHtml(report.title)}</h1>
${report.subtitle === undefined ? '' : `<p>${escapeHtml(report.subtitle)}</p>`}
</header>
<main>
${report.cards === undefined ? '' : `<dl class="cards">${report.cards.map(renderCard).join('')}</dl>`}
<div class="blocks">
${blocks.join('\n')}
</div>
</main>
${report.notes === undefined ? '' : `<footer>${report.notes.map((note) => `<p>${escapeHtml(note)}</p>`).join('')}</footer>`}
</body>
</html>
`;
}

function renderCard({ label, value, note, tone }: ReportCard): string {
  return `<div><dt>${escapeHtml(label)}</dt><dd class="value${tone ? ` ${tone}` : ''}">${escapeHtml(value)}</dd>${note === undefined ? '' : `<dd class="note">${escapeHtml(note)}</dd>`}</div>`;
}

function renderBlock(block: ReportBlock, id: string): string {
  switch (block.kind) {
    case 'chart':
      return renderChart(block, id);
    case 'table':
      return renderTable(block);
    case 'text':
      return `<section><h2>${escapeHtml(block.title)}</h2>${block.paragraphs.map((text) => `<p>${escapeHtml(text)}</p>`).join('')}</section>`;
  }
}

/** From this length on a cell is a sentence: it starts at the left and wraps. */
const PROSE_LENGTH = 32;

function renderTable({ title, description, columns, rows, highlight }: ReportTable): string {
  const prose = columns.map(
    (_, c) => c > 0 && rows.some((row) => typeof row[c] === 'string' && row[c].length >= PROSE_LENGTH),
  );
  const cell = (value: string | number, c: number): string => {
    const text = escapeHtml(typeof value === 'number' ? formatNumber(value) : value);
    return c === 0 ? `<th scope="row">${text}</th>` : `<td${prose[c] ? ' class="prose"' : ''}>${text}</td>`;
  };
  const head = (name: string, c: number): string =>
    `<th scope="col"${prose[c] ? ' class="prose"' : ''}>${escapeHtml(name)}</th>`;
  const body = rows.map((row, r) => `<tr${r === highlight ? ' class="best"' : ''}>${row.map(cell).join('')}</tr>`);
  return `<section class="table"><h2>${escapeHtml(title)}</h2>
<div class="scroll"><table><thead><tr>${columns.map(head).join('')}</tr></thead>
<tbody>${body.join('')}</tbody></table></div>
${description === undefined ? '' : `<p class="caption">${escapeHtml(description)}</p>`}</section>`;
}

const STYLE = `
:root { --page: #f5f6f8; --card: #fff; --edge: #dfe3e8; --ink: #1b2330; --soft: #5b6675; --grid: #e7eaee; --range: #f7b955; --range-ink: #8a5300;
  --blue: #1f6fc4; --orange: #cc5a0c; --green: #16805a; --purple: #7a4cb8; --pink: #b83274; --red: #c8202f; --grey: #7d8896; }
@media screen and (prefers-color-scheme: dark) {
  :root { --page: #10141a; --card: #181e27; --edge: #2a323e; --ink: #e6eaf0; --soft: #9aa6b5; --grid: #262e39; --range: #b8791a; --range-ink: #f0bd62;
    --blue: #62a8f5; --orange: #f49a55; --green: #4cc493; --purple: #b592ee; --pink: #ee7fb2; --red: #ff6b74; --grey: #8d98a6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 32px 24px 48px; max-width: 1120px; overflow-wrap: break-word; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { margin: 0; font-size: 28px; line-height: 1.2; letter-spacing: -.01em; }
header p { margin: 6px 0 0; color: var(--soft); max-width: 90ch; }
h2 { margin: 0 0 8px; font-size: 17px; line-height: 1.3; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 12px; margin: 24px 0 16px; }
.cards > div, figure, section { background: var(--card); border: 1px solid var(--edge); border-radius: 10px; }
.cards > div { padding: 14px 16px; }
dt { color: var(--soft); font-size: 13px; }
dd { margin: 0; }
.value { font-size: 20px; font-weight: 650; line-height: 1.25; letter-spacing: -.01em; font-variant-numeric: tabular-nums; }
.value.good { color: var(--green); } .value.bad { color: var(--red); }
.note, figcaption, .caption { color: var(--soft); font-size: 13px; }
.blocks { display: flex; flex-wrap: wrap; gap: 16px; }
.blocks > * { flex: 1 1 100%; min-width: 0; margin: 0; padding: 18px 20px; }
.blocks > .table { flex: 1 1 400px; }
section p { margin: 8px 0 0; max-width: 80ch; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 6px; padding: 0; list-style: none; font-size: 13px; color: var(--soft); }
.legend li { display: flex; align-items: center; gap: 7px; }
.frame { position: relative; padding: 24px 8px 0 52px; }
.plot { position: relative; border-bottom: 1px solid var(--soft); }
.plot svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: hidden; }
.unit { position: absolute; left: 0; top: 0; margin: 0; font-size: 12px; color: var(--soft); }
.axis { margin: 26px 0 0; text-align: right; font-size: 12px; color: var(--soft); }
.plot span { position: absolute; font-size: 12px; line-height: 1; color: var(--soft); white-space: nowrap; font-variant-numeric: tabular-nums; }
.plot .x { top: calc(100% + 8px); transform: translateX(-50%); }
.plot .x::before { content: ""; position: absolute; left: 50%; top: -8px; height: 5px; border-left: 1px solid var(--soft); }
.plot .y { right: calc(100% + 8px); transform: translateY(-50%); }
.frame.labelled { padding-top: 38px; }
.plot .span { top: -18px; transform: translateX(-50%); color: var(--range-ink); font-weight: 600; }
.plot .span.raised { top: -33px; }
figcaption { margin-top: 4px; max-width: 95ch; }
.ink { --c: var(--ink); } .blue { --c: var(--blue); } .orange { --c: var(--orange); } .green { --c: var(--green); } .purple { --c: var(--purple); }
.pink { --c: var(--pink); } .red { --c: var(--red); } .grey { --c: var(--grey); }
path { vector-effect: non-scaling-stroke; fill: none; }
.grid { stroke: var(--grid); stroke-width: 1; }
path.line { stroke: var(--c); stroke-width: 1.5; stroke-linejoin: round; }
path.dashed { stroke-dasharray: 5 4; }
path.band { fill: var(--c); opacity: .22; }
rect.range { fill: var(--range); opacity: .3; }
.mark { position: absolute; width: 11px; height: 11px; transform: translate(-50%, -50%); background: var(--c); }
.mark.triangle { clip-path: polygon(50% 0, 100% 100%, 0 100%); }
.mark.diamond { clip-path: polygon(50% 0, 100% 50%, 50% 100%, 0 50%); }
.mark.circle { width: 9px; height: 9px; border-radius: 50%; }
.swatch { display: inline-block; flex: none; width: 18px; height: 12px; }
.swatch.line { height: 0; border-top: 2.5px solid var(--c); } .swatch.line.dashed { border-top-style: dashed; }
.swatch.band { background: var(--c); opacity: .3; border-radius: 2px; }
.swatch.range { background: var(--range); opacity: .45; border-radius: 2px; }
.swatch.mark { position: static; transform: none; width: 11px; height: 11px; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 12px; border-bottom: 1px solid var(--edge); text-align: right; white-space: nowrap; font-weight: 400; }
th:first-child { text-align: left; padding-left: 0; } th:last-child, td:last-child { padding-right: 0; }
.prose, th.prose { text-align: left; white-space: normal; min-width: 22ch; }
thead th { color: var(--soft); font-size: 13px; }
tbody tr:last-child > * { border-bottom: 0; }
.best > * { font-weight: 650; } .best > th::after { content: " ★"; color: var(--orange); }
footer { margin-top: 24px; color: var(--soft); font-size: 13px; } footer p { margin: 2px 0; }
@media (max-width: 640px) {
  body { padding: 20px 12px 32px; font-size: 14px; } h1 { font-size: 22px; }
  .cards { grid-template-columns: repeat(2, minmax(0, 1fr)); } .value { font-size: 18px; }
  .blocks > * { padding: 14px 12px; } .frame { padding-left: 40px; } .plot .x:nth-of-type(even) { visibility: hidden; } .frame.labelled { padding-top: 24px; } .plot .span { display: none; }
}
@media print {
  body { max-width: none; padding: 0; background: #fff; font-size: 12px; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  figure, section, .cards > div { break-inside: avoid; }
}
`;
