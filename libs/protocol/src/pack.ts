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
