/** How the bytes of a {@link Body} are to be read. */
export const BodyKind = Object.freeze({
  /** No body at all: `undefined`. */
  none: 0,
  /** UTF-8 JSON text. */
  json: 1,
  /** Opaque bytes. */
  bytes: 2,
} as const);
export type BodyKind = (typeof BodyKind)[keyof typeof BodyKind];

/** A body in its encoded form: what travels, and what a gate passes on without looking into it. */
export interface Body {
  readonly kind: BodyKind;
  readonly bytes: Uint8Array;
}

/** A JSON body as text. Its bytes are created on first use; writers encode the text directly. */
export class JsonText implements Body {
  readonly kind = BodyKind.json;
  private encoded: Uint8Array | undefined = undefined;

  /**
   * @param isPlain True when the body is a JSON string and `text` its value: ASCII, in which JSON escapes nothing. Writers add the quotes,
   * which costs less than a text with them.
   */
  constructor(
    readonly text: string,
    readonly isPlain = false,
  ) {}

  get bytes(): Uint8Array {
    return (this.encoded ??= new TextEncoder().encode(this.isPlain ? `"${this.text}"` : this.text));
  }
}

/** Counts the references to a buffer that is reused once there are none. */
export interface Lease {
  views: number;
}

const NOTHING = new Uint8Array(0);

/** A body inside a larger buffer. A view is created on first use, because most code only passes the body on. */
export class BodySlice implements Body {
  private view: Uint8Array | undefined = undefined;

  /** @param lease The lease of the source, which counts this body as one view. */
  constructor(
    readonly kind: BodyKind,
    public source: Uint8Array,
    public start: number,
    public end: number,
    private lease?: Lease,
  ) {}

  /** Gives the memory back for reuse. The body is empty from then on, so that it never shows the next content of that memory. */
  release(): void {
    if (!this.lease || this.view) return;
    this.lease.views--;
    this.lease = undefined;
    this.source = NOTHING;
    this.start = this.end = 0;
  }

  get bytes(): Uint8Array {
    return (this.view ??= this.source.subarray(this.start, this.end));
  }
}

/** Up to so many bytes a loop is faster than a view of the source and a call into the engine. */
const SHORT_BYTES = 96;

/** Copies a part of `source` to `target`; returns where it ends there. */
export function copyBytes(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  const shift = at - start;
  if (end - start > SHORT_BYTES) {
    target.set(source.subarray(start, end), at);
    return end + shift;
  }
  let i = start;
  // Four at a time: the loop itself costs a fifth.
  for (const whole = end - 3; i < whole; i += 4) {
    target[i + shift] = source[i] as number;
    target[i + shift + 1] = source[i + 1] as number;
    target[i + shift + 2] = source[i + 2] as number;
    target[i + shift + 3] = source[i + 3] as number;
  }
  for (; i < end; i++) target[i + shift] = source[i] as number;
  return end + shift;
}

/** A message of a client or to a client. */
export interface Pack {
  readonly topic: string;
  readonly body: Body;
  /** The request id the client chose; 0 when it asked for no reply. */
  readonly id: number;
}

const EMPTY = new Uint8Array(0);

/** The body of a message without one. */
export const NO_BODY: Body = Object.freeze({ kind: BodyKind.none, bytes: EMPTY });
