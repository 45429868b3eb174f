import { barChart } from './bar-chart.mjs';
import { SERIES } from './growth.mjs';
import { number } from './table-text.mjs';
import { WORKLOADS } from './workloads.mjs';

/** @typedef {import('./summary.mjs').Table} Table */
/** @typedef {import('./summary.mjs').Row} Row */
/** @typedef {import('./bar-chart.mjs').Panel} Panel */

/**
 * @param {Table} table
 * @param {(row: Row) => number | undefined} valueOf
 * @param {(row: Row, value: number) => string} textOf
 * @param {number} [line]
 * @returns {Panel}
 */
function panelOf({ workload, rows }, valueOf, textOf, line) {
  const about = WORKLOADS.find(({ name }) => name === workload)?.about ?? '';
  const bars = rows.flatMap(row => {
    const value = valueOf(row);
    if (value === undefined || !Number.isFinite(value)) return [];
    return [{ name: row.contender, value, text: textOf(row, value), isOwn: row.contender.startsWith('nestgate') }];
  });
  return { title: about === '' ? workload : about, bars, line };
}

/** @param {readonly Table[]} tables @param {import('./contenders.mjs').Family} family */
function ofFamily(tables, family) {
  const names = new Set(WORKLOADS.filter(workload => workload.family === family).map(({ name }) => name));
  return tables.filter(({ workload }) => names.has(workload));
}

/** @param {Row} row @param {number} ratio */
const throughputText = ({ medians }, ratio) =>
  `${ratio.toFixed(2)} R, ${number((medians.perCpuSecond ?? 0) / 1_000)} k`;

/** @param {readonly Table[]} tables @param {import('./contenders.mjs').Family} family */
const throughput = (tables, family) =>
  ofFamily(tables, family).map(table => panelOf(table, row => row.ratio, throughputText, 1));

/** @param {readonly Table[]} tables @returns {Panel[]} */
function latency(tables) {
  const figures = /** @type {const} */ (['p50', 'p99']);
  return ofFamily(tables, 'rate').flatMap(table =>
    figures.map(figure => {
      const textOf = (/** @type {Row} */ _row, /** @type {number} */ value) => `${value.toFixed(2)} ms`;
      const { bars } = panelOf(table, row => row.medians[figure], textOf);
      return { title: `${figure} at ${table.workload.replace('rate ', '')}`, bars };
    }),
  );
}

/** @param {readonly import('./summary.mjs').GrowthTable[]} growth @returns {Panel[]} */
function growthPanels(growth) {
  return growth.map(({ contender, series, rows }) => ({
    title: `${contender}, ${series}: ${SERIES.find(({ name }) => name === series)?.about ?? ''}`,
    bars: rows
      .filter(({ microseconds }) => Number.isFinite(microseconds))
      .map(({ point, microseconds }) => ({
        name: number(point),
        value: microseconds,
        text: `${microseconds.toFixed(1)} µs`,
        isOwn: true,
      })),
  }));
}

/**
 * All charts of a run, by the names of their files.
 * @param {readonly Table[]} tables
 * @param {readonly import('./summary.mjs').GrowthTable[]} growth
 * @returns {Map<string, string>}
 */
export function chartsOf(tables, growth) {
  /** @type {[string, string, readonly Panel[]][]} */
  const charts = [
    [
      'echo.svg',
      'Echo, 64 bytes: messages per second of server CPU, as a ratio to plain ws',
      throughput(tables, 'echo'),
    ],
    [
      'fanout.svg',
      'Fan-out, 128 bytes: deliveries per second of server CPU, as a ratio to ws.send',
      throughput(tables, 'fanout'),
    ],
    [
      'sizes.svg',
      'Texts of several sizes: messages per second of server CPU, as a ratio to plain ws',
      throughput(tables, 'sizes'),
    ],
    ['latency.svg', 'Latency at a fixed rate, counted from when a request was due', latency(tables)],
    [
      'idle.svg',
      'Memory of an idle connection',
      ofFamily(tables, 'idle').map(table =>
        panelOf(
          table,
          row => row.medians.bytesPerConnection,
          (_row, value) => `${number(value)} bytes`,
        ),
      ),
    ],
    [
      'storm.svg',
      'Clients that are cut and come back: clients per second of server CPU, as a ratio to plain ws',
      throughput(tables, 'storm'),
    ],
    ['growth.svg', 'Server CPU for one message, as things grow', growthPanels(growth)],
  ];
  return new Map(
    charts.flatMap(([file, title, panels]) => {
      const drawn = panels.filter(({ bars }) => bars.length > 0);
      return drawn.length > 0 ? [[file, barChart(title, drawn)]] : [];
    }),
  );
}
