/** A metric of a page in the Prometheus text format. */
export interface Family {
  readonly name: string;
  readonly help: string;
  type: string;
  /** By the text of their labels, which is empty without any. */
  readonly series: Map<string, number>;
}

const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"/g;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;

/** A page of metrics, read as strictly as Prometheus does. */
export class MetricsPage {
  readonly families = new Map<string, Family>();

  /** @throws {Error} for a line that is none, or stands where it must not. */
  constructor(readonly text: string) {
    let family: Family | undefined;
    for (const line of text.split('\n')) {
      const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
      if (kind === 'HELP') {
        if (this.families.has(name)) throw new Error(`${name} comes twice`);
        family = { name, help: rest, type: '', series: new Map() };
        this.families.set(name, family);
      } else if (kind === 'TYPE') {
        if (family?.name !== name || family.type !== '') throw new Error(`TYPE of ${name} is not behind its HELP`);
        family.type = rest;
      } else if (line !== '') {
        addSample(family, line);
      }
    }
  }

  /** The value of a series; `labels` as they stand in the page. @throws {Error} when it is not there. */
  value(name: string, labels = ''): number {
    const value = this.families.get(name)?.series.get(labels);
    if (value === undefined) throw new Error(`No series ${name}{${labels}}`);
    return value;
  }

  /** The same; 0 when it is not there (yet). */
  count(name: string, labels = ''): number {
    return this.families.get(name)?.series.get(labels) ?? 0;
  }

  /** The names of the labels of a metric's series. */
  labelNames(name: string): string[] {
    const series = [...(this.families.get(name)?.series.keys() ?? [])];
    return [...new Set(series.flatMap(labels => Array.from(labels.matchAll(LABEL), match => match[1] as string)))];
  }
}

/** What is against the habits of Prometheus, as `promtool check metrics` would tell. */
export function problemsOf({ families }: MetricsPage): string[] {
  const problems: string[] = [];
  for (const { name, help, type, series } of families.values()) {
    if (help.trim() === '') problems.push(`${name} has no HELP`);
    if (!['counter', 'gauge', 'histogram'].includes(type)) problems.push(`${name} is of type ${type}`);
    if ((type === 'counter') !== name.endsWith('_total')) problems.push(`${name} is a ${type}`);
    if (!/^(nestgate|process|nodejs)_[a-z0-9_]+$/.test(name)) problems.push(`${name} is named oddly`);
    if (/_(ms|milliseconds|kb|mb|kilobytes|minutes)(_|$)/.test(name)) problems.push(`${name} is not in base units`);
    for (const [labels, value] of series) {
      if (!Number.isFinite(value)) problems.push(`${name}{${labels}} is ${value}`);
      if (type === 'counter' && value < 0) problems.push(`${name}{${labels}} is negative`);
      if (/\b(quantile|instance|job)=/.test(labels) || (type !== 'histogram' && /\ble=/.test(labels)))
        problems.push(`${name}{${labels}} has a reserved label`);
    }
  }
  return problems;
}

/** Reads the metrics of an app on this machine. */
export async function scrape(port: number): Promise<MetricsPage> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { connection: 'close' } });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`/metrics: ${response.status} ${text}`);
  const type = response.headers.get('content-type') ?? '';
  if (!type.startsWith('text/plain; version=0.0.4')) throw new Error(`/metrics is ${type}`);
  return new MetricsPage(text);
}

function addSample(family: Family | undefined, line: string): void {
  const [, name, labels = '', value = ''] = SAMPLE.exec(line) ?? [];
  if (name === undefined || family?.type === '' || !belongs(family, name)) throw new Error(`Out of place: ${line}`);
  if (!family) return;
  if (labels.replace(LABEL, '').replaceAll(',', '') !== '') throw new Error(`Malformed labels: ${line}`);
  // The series of a histogram have a name of their own.
  const key = name === family.name ? labels : `${name.slice(family.name.length + 1)} ${labels}`.trimEnd();
  if (family.series.has(key)) throw new Error(`${name}{${labels}} comes twice`);
  family.series.set(key, Number(value));
}

function belongs(family: Family | undefined, name: string): boolean {
  if (family?.type !== 'histogram') return family?.name === name;
  return ['bucket', 'sum', 'count'].some(suffix => name === `${family.name}_${suffix}`);
}
