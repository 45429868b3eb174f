import {
  type Body,
  BodyKind,
  type DecodedFrame,
  type ErrorBody,
  type FrameFault,
  GATE_TOPICS,
  isTopic,
  MAX_PACK_BYTES,
  NO_BODY,
  PACK_LENGTH_BYTES,
  PACK_TOPIC_LENGTH_BYTES,
  readPackParts,
} from '@nestgate/protocol';
import type { Framing } from './framing.js';
import type { PackCipher } from './pack-cipher.js';
import type { Wire } from './wire.js';

/** Length to which a text that is too long is cut, in characters. */
const CUT = 1_000;

/** `gate.pack`: the packs of the original gate, one per binary WebSocket frame, or one after another over TCP. */
export class PackWire implements Wire {
  readonly codec = 'gate.pack';
  /** Packs have no ids, so that a return value is always sent to the client. */
  readonly pushesResults = true;
  readonly frame: DecodedFrame = { topic: '', body: NO_BODY, id: 0, checked: true, control: undefined };

  constructor(
    private readonly framing: Framing,
    private readonly cipher: PackCipher | undefined,
  ) {}

  decode(data: Buffer): FrameFault | undefined {
    if (data.length < PACK_LENGTH_BYTES || data.readUInt16LE(0) !== data.length) return 'VIOLATION';
    const plain = this.cipher ? this.cipher.open(data.subarray(PACK_LENGTH_BYTES)) : data.subarray(PACK_LENGTH_BYTES);
    const parts = plain && readPackParts(plain, 0);
    if (!parts) return 'VIOLATION';
    const { frame } = this;
    frame.topic = parts.topic;
    frame.body = { kind: BodyKind.bytes, bytes: parts.body };
    frame.control = parts.topic === '' && parts.body.length === 0 ? 'ping' : undefined;
    return frame.control || isTopic(parts.topic) ? undefined : 'BAD_TOPIC';
  }

  hello(): undefined {
    return undefined;
  }

  push(topic: string, body: Body): Buffer | undefined {
    return this.encode(topic, body.bytes);
  }

  /** Never called: packs have no ids. */
  reply(_id: number, body: Body): Buffer | undefined {
    return this.encode('', body.bytes);
  }

  error(_id: number, error: ErrorBody, topic: string | undefined): Buffer | undefined {
    return (
      this.encode(GATE_TOPICS.error, encodeError(error, topic)) ??
      // An error must not be lost because its topic or message does not fit into a pack.
      this.encode(GATE_TOPICS.error, encodeError(cut(error), topic?.slice(0, CUT)))
    );
  }

  /** A heartbeat is echoed. */
  pong(): Buffer | undefined {
    return this.encode('', NO_BODY.bytes);
  }

  private encode(topic: string, body: Uint8Array): Buffer | undefined {
    const { cipher } = this;
    if (!cipher) return this.assemble(PACK_TOPIC_LENGTH_BYTES + topic.length + body.length, topic, body);
    const plain = Buffer.allocUnsafe(PACK_TOPIC_LENGTH_BYTES + topic.length + body.length);
    writeParts(plain, 0, topic, body);
    const sealed = cipher.seal(plain);
    return this.assemble(sealed.length, undefined, sealed);
  }

  /** Creates a pack with `length` bytes after its first number; `undefined` when that is too large for a pack. */
  private assemble(length: number, topic: string | undefined, rest: Uint8Array): Buffer | undefined {
    const total = PACK_LENGTH_BYTES + length;
    if (total > MAX_PACK_BYTES) return undefined;
    const header = this.framing.headerBytes(total);
    const data = Buffer.allocUnsafe(header + total);
    this.framing.writeHeader(data, total);
    const at = data.writeUInt16LE(total, header);
    if (topic === undefined) data.set(rest, at);
    else writeParts(data, at, topic, rest);
    return data;
  }
}

/** Writes `u16 topic length · topic · body`. Topics are ASCII. */
export function writeParts(data: Buffer, start: number, topic: string, body: Uint8Array): void {
  const at = data.writeUInt16LE(topic.length, start);
  data.write(topic, at, 'latin1');
  data.set(body, at + topic.length);
}

/** The body of an error without a request. A topic that is not ASCII is decoded as UTF-8. */
export function encodeError(error: ErrorBody, topic: string | undefined): Buffer {
  const shown = topic === undefined ? undefined : Buffer.from(topic, 'latin1').toString('utf8');
  return Buffer.from(JSON.stringify({ ...error, topic: shown }));
}

function cut({ code, message }: ErrorBody): ErrorBody {
  return { code, message: message.slice(0, CUT) };
}
