/**
 * A parser of Prometheus' text format 0.0.4, written from its grammar
 * (https://github.com/prometheus/docs/blob/main/docs/instrumenting/exposition_formats.md), as strict as the format allows.
 */
export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly series: readonly Series[];
}

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;
const labelName = /^[a-zA-Z_][a-zA-Z0-9_]*/;
/** What Go's ParseFloat takes, of what we could write. */
const number = /^(?:[+-]?Inf|NaN|[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)$/;

/** Throws at the first line that breaks the format. */
export function parseExposition(text: string): Map<string, Family> {
  const families = new Map<string, Family & { series: Series[] }>();
  if (!text.endsWith('\n')) throw new Error('the last line must end with a line feed');
  let open: (Family & { series: Series[] }) | undefined;
  let help: { name: string; text: string } | undefined;
  const seen = new Set<string>();
  text
    .slice(0, -1)
    .split('\n')
    .forEach((line, i) => {
      const fail = (what: string): never => {
        throw new Error(`line ${i + 1}: ${what}: ${line}`);
      };
      if (line.startsWith('# HELP ')) {
        const [, name, said] = /^# HELP (\S+) (.*)$/s.exec(line) ?? fail('no HELP');
        help = { name: name!, text: unescape(said!, { '\\': '\\', n: '\n' }, fail) };
        return;
      }
      if (line.startsWith('# TYPE ')) {
        const [, name, type] = /^# TYPE (\S+) (counter|gauge|histogram|summary|untyped)$/.exec(line) ?? fail('no TYPE');
        if (families.has(name!)) fail('a second TYPE');
        if (help?.name !== name) fail('HELP of another metric');
        open = { name: name!, type: type!, help: help!.text, series: [] };
        families.set(name!, open);
        return;
      }
      if (line.startsWith('#') || line === '') fail('neither comment nor sample');
      const sample = parseSample(line, fail);
      const parts = open?.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      if (!parts.some((part) => sample.name === `${open!.name}${part}`)) fail('outside of the group of its metric');
      const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
      if (seen.has(key)) fail('the same series twice');
      seen.add(key);
      open!.series.push(sample);
    });
  for (const family of families.values()) if (family.type === 'histogram') checkHistogram(family);
  return families;
}

type Fail = (what: string) => never;

function parseSample(line: string, fail: Fail): Series {
  const name = metricName.exec(line)?.[0] ?? fail('no name');
  const labels: Record<string, string> = {};
  let at = name.length;
  if (line[at] === '{') {
    at++;
    while (line[at] !== '}') {
      const label = labelName.exec(line.slice(at))?.[0] ?? fail('no label');
      at += label.length;
      if (!line.startsWith('="', at)) fail('no value of a label');
      at += 2;
      let raw = '';
      for (; line[at] !== '"'; at++) {
        if (at >= line.length) fail('a label value without end');
        raw += line[at];
        if (line[at] === '\\') raw += line[++at] ?? fail('a label value without end');
      }
      at++;
      if (Object.hasOwn(labels, label)) fail('a label twice');
      labels[label] = unescape(raw, { '\\': '\\', n: '\n', '"': '"' }, fail);
      if (line[at] === ',') at++;
      else if (line[at] !== '}') fail('no end of the labels');
    }
    at++;
  }
  if (line[at] !== ' ') fail('no space before the value');
  const written = line.slice(at + 1);
  if (!number.test(written)) fail('no number');
  const value = written.endsWith('Inf') ? (written.startsWith('-') ? -Infinity : Infinity) : Number(written);
  return { name, labels, value };
}

function unescape(raw: string, known: Readonly<Record<string, string>>, fail: Fail): string {
  return raw.replace(/\\(.?)/gs, (_, letter: string) => known[letter] ?? fail('an unknown escape'));
}

function checkHistogram({ name, series }: Family): void {
  const without = ({ labels: { le: _, ...labels } }: Series): string => JSON.stringify(labels);
  const groups = new Map<string, Series[]>();
  for (const one of series) groups.set(without(one), [...(groups.get(without(one)) ?? []), one]);
  for (const group of groups.values()) {
    const buckets = group.filter((one) => one.name === `${name}_bucket`);
    const limits = buckets.map(({ labels }) => (labels['le'] === '+Inf' ? Infinity : Number(labels['le'])));
    const rising = (values: readonly number[], strictly: boolean): boolean =>
      values.every((value, i) => i === 0 || (strictly ? value > values[i - 1]! : value >= values[i - 1]!));
    const total = group.find((one) => one.name === `${name}_count`)?.value;
    if (limits.at(-1) !== Infinity || !rising(limits, true)) throw new Error(`${name}: limits ${limits.join()}`);
    if (
      !rising(
        buckets.map(({ value }) => value),
        false,
      ) ||
      buckets.at(-1)!.value !== total
    )
      throw new Error(`${name}: buckets do not add up`);
    if (group.length !== buckets.length + 2) throw new Error(`${name}: no sum`);
  }
}

/** The value of one series; undefined when there is none. */
export function valueOf(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const family = families.get(name.replace(/_(?:bucket|sum|count)$/, '')) ?? families.get(name);
  return family?.series.find(
    (one) => one.name === name && Object.entries(labels).every(([label, value]) => one.labels[label] === value),
  )?.value;
}
