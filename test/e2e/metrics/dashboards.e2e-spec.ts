import { execFileSync } from 'node:child_process';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { isThere } from '../support/programs.js';
import { read } from '../support/docs-support.js';

interface Dashboard {
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly gridPos: { readonly x: number; readonly y: number };
    readonly targets: readonly { readonly expr: string }[];
  }[];
}
interface Rules {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert: string;
      readonly expr: string;
      readonly labels: { readonly severity: string };
      readonly annotations: { readonly summary: string };
    }[];
  }[];
}

/** Name, type and label of each metric; another test compares the page with the metrics that exist. */
const documented = new Map(
  Array.from(
    read('docs/metrics.md').matchAll(/^\| `(\w+)` +\| (\w+) +\| (\S+) +\|/gm),
    ([, name = '', type, label = '']) => [name, { type, label: label.replaceAll('`', '') }],
  ),
);
const { panels } = JSON.parse(read('deploy/grafana/nestgate.json')) as Dashboard;
const rules = (parse(read('deploy/prometheus/alerts.yml')) as Rules).groups.flatMap(group => group.rules);
const expressions = [
  ...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
  ...rules.map(({ expr }) => expr),
];

/** The metrics of an expression, without what the series of a histogram add to the name. */
const metricsIn = (expr: string): string[] =>
  Array.from(expr.matchAll(/\b(?:nestgate|process)_\w+/g), ([name]) =>
    name.replace(/_seconds_(bucket|sum|count)$/, '_seconds'),
  );

describe('the dashboard and the alerts', () => {
  it('name metrics that exist', () => {
    const names = expressions.flatMap(metricsIn);
    expect(names.length).toBeGreaterThan(30);
    expect(names.filter(name => !documented.has(name))).toEqual([]);
  });

  it('take the rate of counters, and of nothing else', () => {
    for (const expr of expressions) {
      for (const name of metricsIn(expr)) {
        const isRated = new RegExp(`(rate|increase)\\(${name}`).test(expr);
        expect([expr, isRated]).toEqual([expr, documented.get(name)?.type !== 'gauge']);
      }
    }
  });

  it('name labels that the metrics have', () => {
    for (const expr of expressions) {
      const labels = metricsIn(expr).map(name => documented.get(name)?.label);
      const used = [
        ...Array.from(expr.matchAll(/by \(([^)]*)\)/g), ([, names = '']) => names.split(', ')).flat(),
        ...Array.from(expr.matchAll(/[{,](\w+)=~?"/g), ([, name = '']) => name),
      ];
      const known = new Set([...labels, 'instance', 'job', 'le']);
      expect([expr, used.filter(name => !known.has(name))]).toEqual([expr, []]);
    }
  });

  it('balance their brackets', () => {
    for (const expr of expressions) {
      for (const pair of ['()', '{}', '[]']) {
        expect([expr, expr.split(pair.charAt(0)).length]).toEqual([expr, expr.split(pair.charAt(1)).length]);
      }
    }
  });

  it('have names of their own', () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    expect(rules.filter(({ labels, annotations }) => !labels.severity || !annotations.summary)).toEqual([]);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    expect(new Set(panels.map(({ gridPos: { x, y } }) => `${x} ${y}`)).size).toBe(panels.length);
  });

  // A part of the Debian package prometheus.
  (isThere('promtool') ? it : it.skip)('have rules that Prometheus takes', () => {
    const output = execFileSync('promtool', ['check', 'rules', 'deploy/prometheus/alerts.yml'], { encoding: 'utf8' });
    expect(output).toContain(`SUCCESS: ${rules.length} rules found`);
  });
});
