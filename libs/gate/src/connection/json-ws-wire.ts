import {
  type Body,
  BodyKind,
  type DecodedFrame,
  type ErrorBody,
  type FrameFault,
  GATE_TOPICS,
  JsonFrameDecoder,
} from '@nestgate/protocol';
import type { Wire } from './wire.js';
import { writeWsHeader, WS_TEXT, wsHeaderBytes } from './ws-frame.js';

const NULL = Buffer.from('null');

/** `gate.json` over WebSocket: text frames, bodies passed through as they are. */
export class JsonWsWire implements Wire {
  readonly codec = 'gate.json';
  readonly pushesResults = false;
  private readonly decoder: JsonFrameDecoder;

  constructor(maxDepth: number) {
    this.decoder = new JsonFrameDecoder(maxDepth);
  }

  get frame(): DecodedFrame {
    return this.decoder.frame;
  }

  decode(data: Buffer): FrameFault | undefined {
    return this.decoder.decode(data);
  }

  hello(clientId: string, heartbeatMs: number): Buffer {
    return text(JSON.stringify({ topic: GATE_TOPICS.hello, body: { clientId, heartbeatMs } }));
  }

  push(topic: string, body: Body): Buffer {
    return around(`{"topic":"${topic}","body":`, body);
  }

  reply(id: number, body: Body): Buffer {
    return around(`{"id":${id},"body":`, body);
  }

  error(id: number, error: ErrorBody, topic: string | undefined): Buffer {
    return text(JSON.stringify(id > 0 ? { id, error } : { topic: GATE_TOPICS.error, body: { ...error, topic } }));
  }

  pong(id: number): Buffer {
    return text(id > 0 ? `{"id":${id},"body":null}` : `{"topic":"${GATE_TOPICS.pong}"}`);
  }
}

/** A frame of one text. */
function text(content: string): Buffer {
  const length = Buffer.byteLength(content);
  const header = wsHeaderBytes(length);
  const frame = Buffer.allocUnsafe(header + length);
  writeWsHeader(frame, WS_TEXT, length);
  frame.write(content, header, 'utf8');
  return frame;
}

/** A frame of an ASCII head, a body and the closing brace. The body's bytes are copied once, and never parsed. */
function around(head: string, body: Body): Buffer {
  if (body.kind === BodyKind.bytes) {
    const encoded = Buffer.from(body.bytes.buffer, body.bytes.byteOffset, body.bytes.length).toString('base64');
    return text(`${head}"${encoded}","encoding":"base64"}`);
  }
  const bytes = body.kind === BodyKind.json ? body.bytes : NULL;
  const length = head.length + bytes.length + 1;
  const header = wsHeaderBytes(length);
  const frame = Buffer.allocUnsafe(header + length);
  writeWsHeader(frame, WS_TEXT, length);
  frame.write(head, header, 'latin1');
  frame.set(bytes, header + head.length);
  frame[frame.length - 1] = 0x7d;
  return frame;
}
