import { Buffer } from 'node:buffer';
import {
  type Body,
  BodyKind,
  BodySlice,
  copyBytes,
  type DecodedFrame,
  type ErrorBody,
  type FrameFault,
  GATE_TOPICS,
  JsonFrameDecoder,
  JsonText,
  unitAt,
} from '@nestgate/protocol';
import type { Wire } from './wire.js';
import { writeWsHeader, WS_TEXT, wsHeaderBytes } from './ws-frame.js';

const NULL = Buffer.from('null');
const PUSH_HEAD = Buffer.from('{"topic":"');
const PUSH_TAIL = Buffer.from('","body":');
const REPLY_HEAD = Buffer.from('{"id":');
const QUOTE = 0x22;
const REPLY_TAIL = Buffer.from(',"body":');
const ITEM_TAIL = Buffer.from(',"item":');

/** `gate.json` over WebSocket: text frames whose bodies are passed on without parsing. */
export class JsonWsWire implements Wire {
  readonly codec: string = 'gate.json';
  readonly copiesBodies = true;
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
    return textFrame(JSON.stringify({ topic: GATE_TOPICS.hello, body: { clientId, heartbeatMs } }));
  }

  push(topic: string, body: Body): Buffer {
    return around(PUSH_HEAD, topic, PUSH_TAIL, body);
  }

  reply(id: number, body: Body): Buffer {
    return around(REPLY_HEAD, String(id), REPLY_TAIL, body);
  }

  item(id: number, body: Body): Buffer {
    return around(REPLY_HEAD, String(id), ITEM_TAIL, body);
  }

  end(id: number): Buffer {
    return textFrame(`{"id":${id},"end":true}`);
  }

  ask(topic: string, body: Body, ask: number): Buffer {
    const head = `{"topic":"${topic}","body":${textOf(body)},"ask":${ask}`;
    return textFrame(body.kind === BodyKind.bytes ? `${head},"encoding":"base64"}` : `${head}}`);
  }

  error(id: number, error: ErrorBody, topic: string | undefined): Buffer {
    return textFrame(JSON.stringify(id > 0 ? { id, error } : { topic: GATE_TOPICS.error, body: { ...error, topic } }));
  }

  pong(id: number): Buffer {
    return textFrame(id > 0 ? `{"id":${id},"body":null}` : `{"topic":"${GATE_TOPICS.pong}"}`);
  }
}

/** A text frame with this content. */
export function textFrame(content: string): Buffer {
  const length = Buffer.byteLength(content);
  const header = wsHeaderBytes(length);
  const frame = Buffer.allocUnsafe(header + length);
  writeWsHeader(frame, WS_TEXT, length);
  frame.write(content, header, 'utf8');
  return frame;
}

/**
 * Creates a frame from a head, a middle part (both ASCII), a body and the closing brace. The bytes of the body are copied once and
 * never parsed.
 */
function around(head: Uint8Array, middle: string, tail: Uint8Array, body: Body): Buffer {
  if (body.kind === BodyKind.bytes) {
    const encoded = Buffer.from(body.bytes.buffer, body.bytes.byteOffset, body.bytes.length).toString('base64');
    const start = Buffer.concat([head, Buffer.from(middle), tail]).toString();
    return textFrame(`${start}"${encoded}","encoding":"base64"}`);
  }
  const size = sizeOf(body);
  const length = head.length + middle.length + tail.length + size + 1;
  const header = wsHeaderBytes(length);
  const frame = Buffer.allocUnsafe(header + length);
  writeWsHeader(frame, WS_TEXT, length);
  let at = copy(head, frame, header);
  // Unit by unit: for a short text a call of a native method costs more than the loop.
  for (let i = 0; i < middle.length; i++) frame[at++] = unitAt(middle, i);
  at = copy(tail, frame, at);
  writeBody(body, size, frame, at);
  frame[frame.length - 1] = 0x7d;
  return frame;
}

/** A body as JSON text. */
function textOf(body: Body): string {
  if (body.kind === BodyKind.none) return 'null';
  const text = Buffer.from(body.bytes.buffer, body.bytes.byteOffset, body.bytes.length);
  return body.kind === BodyKind.bytes ? `"${text.toString('base64')}"` : text.toString();
}

function sizeOf(body: Body): number {
  if (body instanceof BodySlice) return body.end - body.start;
  if (body instanceof JsonText) return body.isPlain ? body.text.length + 2 : Buffer.byteLength(body.text);
  return body.kind === BodyKind.json ? body.bytes.length : NULL.length;
}

function writeBody(body: Body, size: number, frame: Buffer, at: number): void {
  if (body instanceof BodySlice) copyBytes(body.source, body.start, body.end, frame, at);
  else if (body instanceof JsonText) writeText(body, size, frame, at);
  else frame.set(body.kind === BodyKind.json ? body.bytes : NULL, at);
}

function writeText({ text, isPlain }: JsonText, size: number, frame: Buffer, start: number): void {
  let at = start;
  if (isPlain) frame[at++] = QUOTE;
  // The number of bytes equals the number of UTF-16 units: the text is ASCII and is copied unchanged.
  frame.write(text, at, isPlain || size === text.length ? 'latin1' : 'utf8');
  if (isPlain) frame[at + text.length] = QUOTE;
}

function copy(from: Uint8Array, to: Buffer, start: number): number {
  for (let i = 0; i < from.length; i++) to[start + i] = from[i] as number;
  return start + from.length;
}
