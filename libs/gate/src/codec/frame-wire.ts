import {
  type Body,
  BodyKind,
  type DecodedFrame,
  type ErrorBody,
  FRAME_LENGTH_BYTES,
  type FrameFault,
  FrameKind,
  frameKindHasId,
  GATE_TOPICS,
  isAnswerError,
  isTopic,
  NO_BODY,
  PACK_TOPIC_LENGTH_BYTES,
  readPackParts,
  readU32,
} from '@nestgate/protocol';
import type { Framing } from './framing.js';
import { encodeError, writeParts } from './pack-wire.js';
import type { Wire } from './wire.js';

/** `gate.frame`: like `gate.pack`, with a longer length field, kinds of frames and request ids. */
export class FrameWire implements Wire {
  readonly codec: string = 'gate.frame';
  readonly pushesResults = false;
  readonly frame: DecodedFrame = {
    topic: '',
    body: NO_BODY,
    id: 0,
    checked: true,
    control: undefined,
    stream: false,
    target: 0,
    error: undefined,
  };

  constructor(protected readonly framing: Framing) {}

  decode(data: Buffer): FrameFault | undefined {
    const { frame } = this;
    frame.id = 0;
    frame.topic = '';
    if (data.length < FRAME_LENGTH_BYTES + 1 || readU32(data, 0) !== data.length - FRAME_LENGTH_BYTES)
      return 'VIOLATION';
    const kind = data[FRAME_LENGTH_BYTES] as number;
    // The layout of an unknown kind is not known.
    if (kind > FrameKind.hello && (kind < FrameKind.cancel || kind > FrameKind.answerError)) return 'BAD_FRAME';
    let at = FRAME_LENGTH_BYTES + 1;
    let id = 0;
    if (frameKindHasId(kind)) {
      if (data.length < at + 4) return 'VIOLATION';
      id = readU32(data, at);
      at += 4;
    }
    const parts = readPackParts(data, at);
    if (!parts) return 'VIOLATION';
    frame.topic = parts.topic;
    frame.body = { kind: BodyKind.bytes, bytes: parts.body };
    frame.control = kind === FrameKind.ping ? 'ping' : kind === FrameKind.pong ? 'pong' : undefined;
    if (frame.control) return parts.topic === '' ? undefined : 'BAD_FRAME';
    frame.stream = kind === FrameKind.stream;
    if (kind >= FrameKind.cancel && !frame.stream) return this.decodeAbout(kind, id);
    if (kind !== FrameKind.message && ((kind !== FrameKind.request && !frame.stream) || id === 0)) return 'BAD_FRAME';
    frame.id = id;
    return isTopic(parts.topic) ? undefined : 'BAD_TOPIC';
  }

  /** A frame about a stream, or about a call to the client. */
  private decodeAbout(kind: number, target: number): FrameFault | undefined {
    const { frame } = this;
    if (target === 0 || frame.topic !== '' || kind === FrameKind.ask) return 'BAD_FRAME';
    frame.control = kind === FrameKind.cancel ? 'cancel' : 'answer';
    frame.target = target;
    frame.error = undefined;
    if (kind !== FrameKind.answerError) return undefined;
    const error: unknown = bodyValueOf(frame.body.bytes);
    if (!isAnswerError(error)) return 'BAD_FRAME';
    frame.error = error;
    return undefined;
  }

  hello(clientId: string, heartbeatMs: number): Buffer {
    return this.encode(FrameKind.hello, 0, '', Buffer.from(JSON.stringify({ clientId, heartbeatMs })));
  }

  push(topic: string, body: Body): Buffer {
    return this.encode(FrameKind.message, 0, topic, body.bytes);
  }

  reply(id: number, body: Body): Buffer {
    return this.encode(FrameKind.reply, id, '', body.bytes);
  }

  item(id: number, body: Body): Buffer {
    return this.encode(FrameKind.item, id, '', body.bytes);
  }

  end(id: number): Buffer {
    return this.encode(FrameKind.end, id, '', NO_BODY.bytes);
  }

  ask(topic: string, body: Body, ask: number): Buffer {
    return this.encode(FrameKind.ask, ask, topic, body.bytes);
  }

  error(id: number, error: ErrorBody, topic: string | undefined): Buffer {
    if (id > 0) return this.encode(FrameKind.error, id, '', Buffer.from(JSON.stringify(error)));
    return this.encode(FrameKind.message, 0, GATE_TOPICS.error, encodeError(error, topic));
  }

  pong(): Buffer {
    return this.encode(FrameKind.pong, 0, '', NO_BODY.bytes);
  }

  /** A ping frame of the codec, for connections without a ping of their protocol. */
  ping(): Buffer {
    return this.encode(FrameKind.ping, 0, '', NO_BODY.bytes);
  }

  protected encode(kind: number, id: number, topic: string, body: Uint8Array): Buffer {
    const hasId = frameKindHasId(kind);
    const length = 1 + (hasId ? 4 : 0) + PACK_TOPIC_LENGTH_BYTES + topic.length + body.length;
    const total = FRAME_LENGTH_BYTES + length;
    const header = this.framing.headerBytes(total);
    const data = Buffer.allocUnsafe(header + total);
    this.framing.writeHeader(data, total);
    let at = data.writeUInt32LE(length, header);
    at = data.writeUInt8(kind, at);
    if (hasId) at = data.writeUInt32LE(id, at);
    writeParts(data, at, topic, body);
    return data;
  }
}

/** The value of JSON bytes; `undefined` when they are not valid JSON. */
function bodyValueOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return undefined;
  }
}
