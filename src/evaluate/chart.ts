/**
 * Line charts as HTML with inline SVG: no script, no network. The drawing stretches with the page while its labels are
 * plain text beside it, so that they stay readable on a phone.
 */

import { createScale, type Scale, type ScaleKind } from './scale.js';

type Values = ArrayLike<number>;

/** Which of the report's colours a thing has; each has a light and a dark shade. */
export type Colour = 'ink' | 'blue' | 'orange' | 'green' | 'purple' | 'pink' | 'red' | 'grey';

export interface ChartLine {
  readonly name: string;
  readonly x: Values;
  /** NaN breaks the line. */
  readonly y: Values;
  readonly colour?: Colour;
  readonly dashed?: boolean;
}

/** A filled area between two lines, such as a forecast interval. */
export interface ChartBand {
  readonly name: string;
  readonly x: Values;
  readonly lo: Values;
  readonly hi: Values;
  readonly colour?: Colour;
}

/** A stretch of the x axis, such as a labelled anomaly window. */
export interface ChartRange {
  readonly from: number;
  readonly to: number;
  /** A word or two, written above. */
  readonly label?: string;
}

export interface ChartMarker {
  readonly x: number;
  /** Left out: at the top of the chart. */
  readonly y?: number;
  /** Shown when the pointer rests on it. */
  readonly label: string;
}

/** Points of one kind, such as alerts opened. */
export interface ChartMarkers {
  readonly name: string;
  readonly shape: 'triangle' | 'circle' | 'diamond';
  readonly colour?: Colour;
  readonly points: readonly ChartMarker[];
}

export interface Chart {
  readonly title: string;
  /** One or two sentences on what is to be seen: the caption, and what a screen reader says. */
  readonly description: string;
  readonly x: { readonly kind: ScaleKind; readonly label?: string };
  readonly y: {
    readonly kind?: 'linear' | 'log';
    readonly label?: string;
    readonly min?: number;
    readonly max?: number;
  };
  readonly lines?: readonly ChartLine[];
  readonly bands?: readonly ChartBand[];
  readonly ranges?: { readonly name: string; readonly spans: readonly ChartRange[] };
  readonly markers?: readonly ChartMarkers[];
  /** Height of the drawing in pixels, default 280. */
  readonly heightPx?: number;
}

const WIDTH = 1000;
const HEIGHT = 300;
const ROTATION: readonly Colour[] = ['blue', 'orange', 'green', 'purple', 'pink', 'grey'];

/** Text as HTML shows it. */
export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** The chart as a `<figure>`; `id` must be its own on the page. The styles are those of `renderReport`. */
export function renderChart(chart: Chart, id: string): string {
  const { lines = [], bands = [], ranges, markers = [] } = chart;
  const colourOf = (given: Colour | undefined, i: number): Colour => given ?? ROTATION[i % ROTATION.length]!;
  const x = scaleOf(chart.x.kind, 8, [...lines.map((line) => line.x), ...bands.map((band) => band.x)], {}, 0);
  const y = scaleOf(
    chart.y.kind ?? 'linear',
    5,
    [...lines.map((line) => line.y), ...bands.flatMap(({ lo, hi }) => [lo, hi])],
    chart.y,
    0.04,
  );
  const percent = (share: number): string => `${round(share * 100)}%`;
  const spans = (ranges?.spans ?? [])
    .filter(({ from, to }) => to >= x.min && from <= x.max)
    .map(({ from, to, label }) => ({
      left: x.place(Math.max(from, x.min)),
      right: x.place(Math.min(to, x.max)),
      label,
    }));

  const drawing = [
    ...spans.map(
      ({ left, right }) =>
        `<rect class="range" x="${round(left * WIDTH)}" y="0" width="${round(Math.max((right - left) * WIDTH, 1.5))}" height="${HEIGHT}"/>`,
    ),
    ...y.ticks.map(({ value }) => `<path class="grid" d="M0 ${round((1 - y.place(value)) * HEIGHT)}H${WIDTH}"/>`),
    ...bands.map((band, i) => `<path class="band ${colourOf(band.colour, i)}" d="${bandPath(band, x, y)}"/>`),
    ...lines.map(
      (line, i) =>
        `<path class="line ${colourOf(line.colour, i)}${line.dashed ? ' dashed' : ''}" d="${linePath(line, x, y)}"/>`,
    ),
  ].join('\n');
  const marks = markers.flatMap(({ shape, colour = 'red', points }) =>
    points
      .filter((point) => point.x >= x.min && point.x <= x.max)
      .map((point) => {
        const top = point.y === undefined ? 0 : 1 - Math.min(Math.max(y.place(point.y), 0), 1);
        return `<i class="mark ${shape} ${colour}" style="left:${percent(x.place(point.x))};top:${percent(top)}" title="${escapeHtml(point.label)}"></i>`;
      }),
  );
  const labels = [
    ...x.ticks.map(
      ({ value, label }) => `<span class="x" style="left:${percent(x.place(value))}">${escapeHtml(label)}</span>`,
    ),
    ...y.ticks.map(
      ({ value, label }) => `<span class="y" style="top:${percent(1 - y.place(value))}">${escapeHtml(label)}</span>`,
    ),
    ...spanLabels(spans).map(
      ({ centre, raised, label }) =>
        `<span class="span${raised ? ' raised' : ''}" style="left:${percent(centre)}">${escapeHtml(label)}</span>`,
    ),
  ];
  const legend = [
    ...lines.map((line, i) =>
      entry(`swatch line ${colourOf(line.colour, i)}${line.dashed ? ' dashed' : ''}`, line.name),
    ),
    ...bands.map((band, i) => entry(`swatch band ${colourOf(band.colour, i)}`, band.name)),
    ...(ranges && spans.length > 0 ? [entry('swatch range', ranges.name)] : []),
    ...markers
      .filter(({ points }) => points.length > 0)
      .map(({ shape, colour = 'red', name }) => entry(`swatch mark ${shape} ${colour}`, name)),
  ];
  return `<figure class="chart">
<h2>${escapeHtml(chart.title)}</h2>
<ul class="legend">${legend.join('')}</ul>
<div class="frame${spans.some(({ label }) => label !== undefined) ? ' labelled' : ''}">
${chart.y.label === undefined ? '' : `<p class="unit">${escapeHtml(chart.y.label)}</p>`}
<div class="plot" style="height:${chart.heightPx ?? 280}px">
<svg role="img" aria-labelledby="${id}-title ${id}-desc" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none">
<title id="${id}-title">${escapeHtml(chart.title)}</title><desc id="${id}-desc">${escapeHtml(chart.description)}</desc>
${drawing}
</svg>
<div aria-hidden="true">${marks.join('')}${labels.join('')}</div>
</div>
<p class="axis">${escapeHtml(chart.x.label ?? (x.kind === 'time' ? `UTC, ${dayOf(x.min)} to ${dayOf(x.max)}` : ''))}</p>
</div>
<figcaption>${escapeHtml(chart.description)}</figcaption>
</figure>`;
}

/** Width of a letter as a share of the chart, for telling which labels would touch. */
const LETTER = 0.009;

/** A label that would touch the one before moves up a line. */
function spanLabels(
  spans: readonly { left: number; right: number; label: string | undefined }[],
): { centre: number; raised: boolean; label: string }[] {
  const placed: { centre: number; raised: boolean; label: string }[] = [];
  for (const { left, right, label } of spans) {
    if (label === undefined) continue;
    const centre = (left + right) / 2;
    const before = placed.at(-1);
    const touches =
      before !== undefined && centre - before.centre < ((before.label.length + label.length) / 2) * LETTER;
    placed.push({ centre, raised: touches && !before.raised, label });
  }
  return placed;
}

const entry = (swatch: string, name: string): string => `<li><i class="${swatch}"></i>${escapeHtml(name)}</li>`;
const dayOf = (timeMs: number): string => new Date(timeMs).toISOString().slice(0, 10);
const round = (value: number): number => Math.round(value * 10) / 10;

function scaleOf(
  kind: ScaleKind,
  count: number,
  columns: readonly Values[],
  given: { min?: number; max?: number },
  margin: number,
): Scale {
  let min = Infinity;
  let max = -Infinity;
  for (const column of columns) {
    for (let i = 0; i < column.length; i++) {
      const value = column[i]!;
      if (!Number.isFinite(value) || (kind === 'log' && value <= 0)) continue;
      min = Math.min(min, value);
      max = Math.max(max, value);
    }
  }
  if (min > max) [min, max] = kind === 'log' ? [1, 10] : [0, 1];
  const pad = kind === 'log' ? (max / min) ** margin : (max - min) * margin || margin;
  const [low, high] = kind === 'log' ? [min / pad, max * pad] : [min - pad, max + pad];
  return createScale(kind, given.min ?? low, given.max ?? high, count);
}

interface Column {
  min: number;
  max: number;
  minFirst: boolean;
}

/**
 * Thins values to the lowest and the highest of each of the 1,000 columns of the drawing: the picture stays the same,
 * spikes included. Yields runs without a gap; a missing value ends a run.
 */
function* runs(x: Scale, xs: Values, lows: Values, highs: Values): Generator<Map<number, Column>> {
  let run = new Map<number, Column>();
  for (let i = 0; i < xs.length; i++) {
    const [low, high] = [lows[i]!, highs[i]!];
    if (!Number.isFinite(low) || !Number.isFinite(high) || !Number.isFinite(xs[i])) {
      if (run.size > 0) yield run;
      run = new Map();
      continue;
    }
    const exact = x.place(xs[i]!) * WIDTH;
    const place = xs.length > 2 * WIDTH ? Math.round(exact) : exact;
    const column = run.get(place);
    if (column === undefined) run.set(place, { min: low, max: high, minFirst: true });
    else {
      if (low < column.min) [column.min, column.minFirst] = [low, false];
      if (high > column.max) [column.max, column.minFirst] = [high, true];
    }
  }
  if (run.size > 0) yield run;
}

function linePath(line: ChartLine, x: Scale, y: Scale): string {
  const height = heightOn(y);
  let path = '';
  for (const run of runs(x, line.x, line.y, line.y)) {
    const points = [...run].flatMap(([place, { min, max, minFirst }]) => {
      const ends = min === max ? [min] : minFirst ? [min, max] : [max, min];
      return ends.map((value) => `${round(place)} ${height(value)}`);
    });
    path += `M${points.join('L')}${points.length === 1 ? 'h.1' : ''}`; // a lone point would draw nothing
  }
  return path;
}

function bandPath(band: ChartBand, x: Scale, y: Scale): string {
  const height = heightOn(y);
  let path = '';
  for (const run of runs(x, band.x, band.lo, band.hi)) {
    const columns = [...run];
    const upper = columns.map(([place, { max }]) => `${round(place)} ${height(max)}`);
    const lower = columns.map(([place, { min }]) => `${round(place)} ${height(min)}`).reverse();
    path += `M${[...upper, ...lower].join('L')}Z`;
  }
  return path;
}

/** From value to height in the drawing; far-off values stay near it, and a log scale has no zero. */
const heightOn =
  (y: Scale) =>
  (value: number): number => {
    const place = y.kind === 'log' && value <= 0 ? -1 : y.place(value);
    return round((1 - Math.min(Math.max(place, -1), 2)) * HEIGHT);
  };
