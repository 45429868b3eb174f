import { FRAME_LENGTH_BYTES, FrameKind, readPackParts, readU32 } from '@nestgate/protocol';
import { FrameWire } from './frame-wire.js';
import type { Framing } from './framing.js';
import type { ClientSessionFrame, SessionNotice, SessionWire } from './session-wire.js';
import type { Wire } from './wire.js';

const DOLLAR = 0x24;
const COUNT_BYTES = 8;

/** `gate.frame.2`: `gate.frame` with frames about the session. */
export class FrameSessionWire extends FrameWire implements SessionWire {
  override readonly codec = 'gate.frame.2';

  constructor(
    framing: Framing,
    readonly plain: Wire,
  ) {
    super(framing);
  }

  readSessionFrame(data: Buffer): ClientSessionFrame | undefined {
    const kind = data[FRAME_LENGTH_BYTES] as number;
    if (kind < FrameKind.open || kind > FrameKind.refused || readU32(data, 0) !== data.length - FRAME_LENGTH_BYTES)
      return undefined;
    const parts = readPackParts(data, FRAME_LENGTH_BYTES + 1);
    if (!parts || parts.topic !== '') return undefined;
    switch (kind) {
      case FrameKind.open:
        return { kind: 'open', body: parseJson(parts.body) };
      case FrameKind.resume:
        return { kind: 'resume', body: parseJson(parts.body) };
      case FrameKind.ack:
        return { kind: 'ack', count: readCount(parts.body) };
      case FrameKind.bye:
        return { kind: 'bye' };
      default:
        return undefined;
    }
  }

  isCounted(frame: Uint8Array): boolean {
    const at = this.framing.sizeOfHeader(frame) + FRAME_LENGTH_BYTES;
    const kind = frame[at] as number;
    // A push: kind, length of the topic, topic. Pushes on topics of the gate are errors without a request.
    return kind === FrameKind.message ? frame[at + 3] !== DOLLAR : kind <= FrameKind.error || kind >= FrameKind.item;
  }

  endedBy(frame: Uint8Array): number {
    const at = this.framing.sizeOfHeader(frame) + FRAME_LENGTH_BYTES;
    const kind = frame[at];
    const ends = kind === FrameKind.reply || kind === FrameKind.error || kind === FrameKind.end;
    return ends ? readU32(frame, at + 1) : 0;
  }

  notice(kind: SessionNotice, body: object): Buffer {
    return this.encode(FrameKind[kind], 0, '', Buffer.from(JSON.stringify(body)));
  }

  count(kind: 'ack' | 'mark', count: number): Buffer {
    const body = Buffer.alloc(COUNT_BYTES);
    body.writeBigUInt64LE(BigInt(count));
    return this.encode(FrameKind[kind], 0, '', body);
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return undefined;
  }
}

/** A count of frames; `undefined` for bytes that are none. */
function readCount(bytes: Uint8Array): number | undefined {
  if (bytes.length !== COUNT_BYTES) return undefined;
  const count = Buffer.from(bytes).readBigUInt64LE();
  return count <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(count) : undefined;
}
