/** A frame towards the gate, as an object. Its fields are those of `gate.json`. */
export interface OutFrame {
  readonly topic?: string;
  readonly body?: unknown;
  readonly id?: number;
  readonly stream?: true;
  readonly answer?: number;
  readonly error?: { readonly code: string; readonly message: string };
}

/** A frame from the gate. It is an object; its fields are not checked. */
export interface InFrame {
  readonly topic?: unknown;
  readonly body?: unknown;
  readonly id?: unknown;
  readonly error?: unknown;
  readonly encoding?: unknown;
  readonly item?: unknown;
  readonly end?: unknown;
  readonly ask?: unknown;
}

/** Data of a WebSocket frame. */
export type WireData = string | Uint8Array;

/** Encodes and decodes frames: `jsonCodec`, or `frameCodec()` of `@nestgate/client/frame`. */
export interface Codec {
  /** The subprotocol without resumable sessions; with them it ends in `.2`. */
  readonly protocol: string;
  /** @throws when the body cannot be encoded. */
  encode(frame: OutFrame): WireData;
  /** `undefined` when the data is not a frame. Never throws. */
  decode(data: unknown): InFrame | undefined;
}

/** `gate.json`: one JSON object in each text frame. */
export const jsonCodec: Codec = {
  protocol: 'gate.json',
  encode: JSON.stringify,
  decode(data) {
    if (typeof data !== 'string') return undefined;
    try {
      const frame: unknown = JSON.parse(data);
      if (typeof frame !== 'object' || frame === null || Array.isArray(frame)) return undefined;
      const { body, encoding } = frame as InFrame;
      return encoding === 'base64' && typeof body === 'string' ? { ...frame, body: bytesOf(body) } : frame;
    } catch {
      return undefined;
    }
  },
};

function bytesOf(base64: string): Uint8Array {
  const { atob } = globalThis as unknown as { atob: (text: string) => string };
  return Uint8Array.from(atob(base64), char => char.charCodeAt(0));
}
