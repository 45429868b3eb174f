import { Buffer } from 'node:buffer';
import { randomFillSync } from 'node:crypto';
import { flatText } from '@nestgate/link/internal';
import { formatTraceParent, parseTraceParent } from '@nestgate/protocol';

const TRACE_BYTES = 16;
const SPAN_BYTES = 8;
/** Random bytes are fetched for so many connections at once. */
const POOLED = 128;
const SAMPLED = '00-00000000000000000000000000000000-0000000000000000-01';
const TRACE_AT = 3;
const SPAN_AT = TRACE_AT + 2 * TRACE_BYTES + 1;

/** Makes the trace identity of each connection as one piece of text, without intermediate objects. */
export class TraceParents {
  private readonly random = Buffer.allocUnsafeSlow((TRACE_BYTES + SPAN_BYTES) * POOLED);
  private used = this.random.length;
  private readonly text = Buffer.from(SAMPLED, 'latin1');

  /** The identity that a connection brings, as `traceparent`, or a new one. */
  from(header: string | undefined): string {
    const span = header === undefined ? undefined : parseTraceParent(header);
    return span ? flatText(formatTraceParent(span)) : this.next();
  }

  private next(): string {
    if (this.used === this.random.length) {
      randomFillSync(this.random);
      this.used = 0;
    }
    this.writeHex(TRACE_AT, TRACE_BYTES);
    this.writeHex(SPAN_AT, SPAN_BYTES);
    return this.text.toString('latin1');
  }

  private writeHex(start: number, count: number): void {
    const { random, text } = this;
    // All zeros would be no identity; one bit set is.
    let bit = 1;
    let at = start;
    for (let i = 0; i < count; i++) {
      const byte = (random[this.used++] as number) | bit;
      bit = 0;
      text[at++] = digitOf(byte >> 4);
      text[at++] = digitOf(byte & 15);
    }
  }
}

/** The code of a lower-case hex digit. */
function digitOf(value: number): number {
  return value < 10 ? 0x30 + value : 0x57 + value;
}
