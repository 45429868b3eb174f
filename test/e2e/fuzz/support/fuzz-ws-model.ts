import { isUtf8 } from 'node:buffer';
import { isDeeperThan, isTopic } from '@nestgate/protocol';
import type { ReceivedFrame } from '@nestgate/testing';
import { OP } from '../../support/raw-websocket.js';

/** Limits that the gate must have for the model to hold. */
export const MODEL = { maxPayload: 2_000, maxFragments: 64, maxBadFrames: 10, pingBurst: 30 } as const;
/** Codes that a close frame may have. */
const isSendable = (code: number): boolean =>
  (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999);

/** What a gate should make of what a client sends. */
export interface WsOutcome {
  /** What the frames are, up to the one that ends the connection. */
  readonly messages: readonly Expectation[];
  readonly pongs: readonly string[];
  /**
   * What the gate may close with; nothing while it has no reason to. Two when the tenth bad frame, which may be found out by
   * a handler's worker only, comes before something else that ends the connection.
   */
  readonly codes: readonly number[];
  /** Whether it is the client that has closed: the gate only answers that. */
  readonly isClosed: boolean;
  /** Whether the bytes end where a message does, so that another one can follow. */
  readonly isWhole: boolean;
}

/** The answer to one message: what {@link keyOf} writes for the frame that comes. */
export type Expectation = string;

const BAD_FRAME: Expectation = keyOf({ topic: '$gate/error', body: { code: 'BAD_FRAME' } });

/** A frame of the gate as a text, but for what error messages say. */
export function keyOf({ id, topic, body, error }: ReceivedFrame): string {
  if (error) return `${id} fails: ${error.code}`;
  if (id !== undefined) return `${id} ${JSON.stringify(body ?? null)}`;
  if (topic === '$gate/error') return `error ${(body as { code: string }).code}`;
  return `${topic} ${JSON.stringify(body ?? null)}`;
}

interface Head {
  readonly fin: boolean;
  readonly opcode: number;
  readonly length: bigint;
  readonly bytes: number;
}

/**
 * RFC 6455 and the rules of `gate.json`, written down a second time, without any of the gate's code or of `ws`: for a server
 * that answers `echo/echo`.
 */
export class WsModel {
  private readonly messages: Expectation[] = [];
  private readonly pongs: string[] = [];
  private parts: Buffer[] | undefined;
  private opcode = 0;
  private badFrames = 0;
  private isClosed = false;
  private readonly codes: number[] = [];

  static read(bytes: Buffer): WsOutcome {
    return new WsModel().read(bytes);
  }

  private read(bytes: Buffer): WsOutcome {
    let at = 0;
    const end = (code?: number): WsOutcome => {
      const isWhole = code === undefined && at === bytes.length && this.parts === undefined;
      const codes = code === undefined ? this.codes : [...this.codes, code];
      return { messages: this.messages, pongs: this.pongs, codes, isClosed: this.isClosed, isWhole };
    };
    for (;;) {
      const rest = bytes.subarray(at);
      const head = this.head(rest);
      if (typeof head === 'number') return end(head);
      if (!head) return end();
      if (head.opcode < OP.close && head.length > 0n && this.size + head.length > MODEL.maxPayload) return end(1009);
      const whole = head.bytes + 4 + Number(head.length);
      if (rest.length < whole) return end();
      at += whole;
      const code = this.take(head, unmasked(rest.subarray(head.bytes, whole)));
      if (code !== undefined) return end(code);
    }
  }

  /** The bytes of the message at hand so far. */
  private get size(): bigint {
    return BigInt((this.parts ?? []).reduce((sum, part) => sum + part.length, 0));
  }

  /** The head of a frame; a code when it breaks the protocol, and nothing when more of it must come. */
  private head(bytes: Buffer): Head | number | undefined {
    if (bytes.length < 2) return undefined;
    const [first, second] = [bytes[0] as number, bytes[1] as number];
    const [fin, rsv, opcode, short] = [first >= 0x80, first & 0x70, first & 0x0f, second & 0x7f];
    const isControl = opcode >= OP.close && opcode <= OP.pong;
    if (rsv !== 0 || (opcode > OP.binary && !isControl)) return 1002;
    if (isControl && (!fin || short > 125 || (opcode === OP.close && short === 1))) return 1002;
    if (opcode === OP.continuation ? !this.parts : !isControl && this.parts) return 1002;
    if (second < 0x80) return 1002;
    const long = short === 126 ? 2 : short === 127 ? 8 : 0;
    if (bytes.length < 2 + long) return undefined;
    const length = long === 8 ? bytes.readBigUInt64BE(2) : BigInt(long === 2 ? bytes.readUInt16BE(2) : short);
    if (length < (long === 8 ? 65_536n : long === 2 ? 126n : 0n)) return 1002;
    return { fin, opcode, length, bytes: 2 + long };
  }

  private take({ fin, opcode }: Head, payload: Buffer): number | undefined {
    if (opcode === OP.ping) this.pongs.push(payload.toString());
    if (opcode === OP.close) return this.close(payload);
    if (opcode >= OP.close) return undefined;
    if (!this.parts) this.opcode = opcode;
    this.parts = [...(this.parts ?? []), payload];
    if (this.parts.length > MODEL.maxFragments) return 1008;
    if (!fin) return undefined;
    const data = Buffer.concat(this.parts);
    this.parts = undefined;
    if (this.opcode === OP.binary) return 1003;
    if (!isUtf8(data)) return 1007;
    const answer = answerTo(data);
    this.messages.push(answer);
    if (answer === BAD_FRAME && ++this.badFrames === MODEL.maxBadFrames) this.codes.push(1008);
    return undefined;
  }

  /** A close is answered with its own code. */
  private close(payload: Buffer): number {
    const code = payload.length === 0 ? 1005 : payload.readUInt16BE(0);
    if (payload.length > 0 && !isSendable(code)) return 1002;
    if (!isUtf8(payload.subarray(2))) return 1007;
    this.isClosed = true;
    return code;
  }
}

/** The payload behind the mask that it begins with. */
function unmasked(bytes: Buffer): Buffer {
  const payload = Buffer.from(bytes.subarray(4));
  for (let i = 0; i < payload.length; i++) payload[i] = (payload[i] as number) ^ (bytes[i % 4] as number);
  return payload;
}

/** What `echo/echo`, or a gate that has nothing else, answers. */
function answerTo(data: Buffer): Expectation {
  let frame: unknown;
  try {
    frame = JSON.parse(new TextDecoder('utf-8', { ignoreBOM: true }).decode(data));
  } catch {
    return BAD_FRAME;
  }
  if (typeof frame !== 'object' || frame === null || Array.isArray(frame) || isDeeperThan(data, 32)) return BAD_FRAME;
  const own = new Map<string, unknown>(Object.entries(frame));
  const [topic, id] = [own.get('topic'), own.get('id')];
  if (typeof topic !== 'string') return BAD_FRAME;
  if (own.has('id') && !(Number.isSafeInteger(id) && (id as number) > 0)) return BAD_FRAME;
  const reply = own.has('id') ? { id: id as number } : undefined;
  const failed = (code: string): Expectation =>
    keyOf(reply ? { ...reply, error: { code, message: '' } } : { topic: '$gate/error', body: { code } });
  if (topic === '$gate/ping') return keyOf({ ...(reply ?? { topic: '$gate/pong' }) });
  if (!isTopic(topic)) return failed('BAD_TOPIC');
  if (topic !== 'echo/echo') return failed(topic.split('/')[0] === 'echo' ? 'NO_HANDLER' : 'NO_ROUTE');
  return keyOf({ ...(reply ?? { topic }), body: own.get('body') });
}
