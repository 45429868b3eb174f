import { element } from './dom.js';

/** Time that a chart shows, in milliseconds. */
const SHOWN_MS = 600_000;
/** Less than this fills a part of it only. */
const LEAST_MS = 60_000;
const [WIDTH, HEIGHT] = [300, 60];
const SVG = 'http://www.w3.org/2000/svg';

interface Point {
  readonly at: number;
  readonly value: number;
}

/** The values of the last 10 minutes, and a card that shows them. */
export class Chart {
  readonly root: HTMLElement;
  private readonly points: Point[] = [];
  private readonly value = element('strong', { text: '–' });
  private readonly line = document.createElementNS(SVG, 'polyline');

  constructor(
    title: string,
    private readonly format: (value: number) => string,
  ) {
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('aria-hidden', 'true');
    svg.append(this.line);
    this.root = element('section', { className: 'card' }, element('h3', { text: title }), this.value, svg);
  }

  add(at: number, value: number): void {
    this.points.push({ at, value });
    while ((this.points[0]?.at ?? at) < at - SHOWN_MS) this.points.shift();
    this.value.textContent = this.format(value);
    const top = Math.max(1e-9, ...this.points.map(point => point.value)) * 1.1;
    const span = Math.max(LEAST_MS, at - (this.points[0]?.at ?? at));
    const places = this.points.map(point => {
      const x = WIDTH * (1 - (at - point.at) / span);
      return `${x.toFixed(1)},${(HEIGHT * (1 - point.value / top)).toFixed(1)}`;
    });
    this.line.setAttribute('points', places.join(' '));
  }
}
