const WIDTH = 760;
const LABEL_WIDTH = 150;
const VALUE_WIDTH = 150;
const ROW = 22;
const BAR = 14;
const HEAD = 30;
const PANEL_HEAD = 28;
const BARS = WIDTH - LABEL_WIDTH - VALUE_WIDTH;

/** Colours that can be read on white and, by the media query, on a dark page. Nothing is painted behind them. */
const STYLE = `
  text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .panel { font-weight: 600; fill: #59636e }
  .value { fill: #59636e }
  .own { fill: #1a7f5a }
  .peer { fill: #8c959f }
  .line { stroke: #cf222e; stroke-width: 1; stroke-dasharray: 3 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .panel, .value { fill: #9198a1 }
    .own { fill: #3fb68b }
    .peer { fill: #6e7781 }
    .line { stroke: #ff7b72 }
  }`;

/**
 * @typedef {object} Bar
 * @property {string} name
 * @property {number} value
 * @property {string} text what is written beside it
 * @property {boolean} isOwn whether it is nestgate's
 */

/**
 * Bars that share a scale.
 * @typedef {object} Panel
 * @property {string} title
 * @property {readonly Bar[]} bars
 * @property {number} [line] a value that is marked
 */

/** @param {string} text */
const escape = text => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** @param {Panel} panel @param {number} top */
function panelOf({ title, bars, line }, top) {
  const scale = BARS / Math.max(...bars.map(({ value }) => value), line ?? 0, Number.MIN_VALUE);
  const first = top + PANEL_HEAD - 4;
  const rows = bars.map(({ name, value, text, isOwn }, index) => {
    const y = first + index * ROW;
    const width = Math.max(1, value * scale).toFixed(1);
    return `<text x="${LABEL_WIDTH - 8}" y="${y + 12}" text-anchor="end">${escape(name)}</text>
<rect class="${isOwn ? 'own' : 'peer'}" x="${LABEL_WIDTH}" y="${y + 1}" width="${width}" height="${BAR}" rx="2"/>
<text class="value" x="${LABEL_WIDTH + Number(width) + 6}" y="${y + 12}">${escape(text)}</text>`;
  });
  const x = (LABEL_WIDTH + (line ?? 0) * scale).toFixed(1);
  const mark =
    line === undefined
      ? ''
      : `<line class="line" x1="${x}" x2="${x}" y1="${first - 2}" y2="${first + bars.length * ROW - 4}"/>`;
  return `<text class="panel" x="0" y="${top + 14}">${escape(title)}</text>\n${mark}\n${rows.join('\n')}`;
}

/**
 * A chart of horizontal bars, as SVG.
 * @param {string} title
 * @param {readonly Panel[]} panels
 */
export function barChart(title, panels) {
  let top = HEAD;
  const parts = panels.map(panel => {
    const part = panelOf(panel, top);
    top += PANEL_HEAD + panel.bars.length * ROW + 8;
    return part;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${top}" viewBox="0 0 ${WIDTH} ${top}" role="img">
<title>${escape(title)}</title>
<style>${STYLE}
</style>
<text class="title" x="0" y="16">${escape(title)}</text>
${parts.join('\n')}
</svg>
`;
}
