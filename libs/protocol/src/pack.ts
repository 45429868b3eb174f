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

/** A JSON body as text: its bytes are made when somebody wants them, and where it is written it is written at once. */
export class JsonText implements Body {
  readonly kind = BodyKind.json;
  private encoded: Uint8Array | undefined;

  constructor(readonly text: string) {}

  get bytes(): Uint8Array {
    return (this.encoded ??= new TextEncoder().encode(this.text));
  }
}

/** A body within a larger piece of data: a view of its own is made when somebody wants one, and most only hand it on. */
export class BodySlice implements Body {
  private view: Uint8Array | undefined = undefined;

  constructor(
    readonly kind: BodyKind,
    readonly source: Uint8Array,
    readonly start: number,
    readonly end: number,
  ) {}

  get bytes(): Uint8Array {
    return (this.view ??= this.source.subarray(this.start, this.end));
  }
}

/** Up to so many bytes a loop is faster than a view of the source and a call into the engine. */
const SHORT_BYTES = 96;

/** Copies a part of `source` to `target`; returns where it ends there. */
export function copyBytes(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  const shift = at - start;
  if (end - start > SHORT_BYTES) target.set(source.subarray(start, end), at);
  else for (let i = start; i < end; i++) target[i + shift] = source[i] as number;
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
