import { BodyKind, GATE_TOPIC_PREFIX } from '@nestgate/protocol';
import { JsonWsWire, textFrame } from './json-ws-wire.js';
import type { ClientSessionFrame, SessionNotice, SessionWire } from './session-wire.js';
import type { Wire } from './wire.js';
import { writtenWsHeaderBytes } from './ws-frame.js';

const HEAD = Buffer.from('{"topic":"');
const ACK_HEAD = Buffer.from(`{"topic":"${GATE_TOPIC_PREFIX}ack","body":`);
/** A number with this many digits is always below 2^53. */
const MAX_FAST_DIGITS = 15;
const ZERO = 0x30;
const CLOSE_OBJECT = 0x7d;
const DOLLAR = 0x24;
const BACKSLASH = 0x5c;
/** How a frame begins that ends a request, and the longest such beginning. */
const REPLY_HEAD = /^\{"id":(\d{1,16}),"(?:body|error|end)":/;
const MAX_REPLY_HEAD = 32;
const OWN_HEAD = Buffer.from(`{"topic":"${GATE_TOPIC_PREFIX}`);

/** `gate.json.2`: `gate.json` with frames about the session. */
export class JsonSessionWire extends JsonWsWire implements SessionWire {
  override readonly codec = 'gate.json.2';

  constructor(
    maxDepth: number,
    readonly plain: Wire,
  ) {
    super(maxDepth);
  }

  readSessionFrame(data: Buffer): ClientSessionFrame | undefined {
    if (!mayBeOwn(data)) return undefined;
    const count = readAck(data);
    if (count >= 0) return { kind: 'ack', count };
    if (this.decode(data) !== 'BAD_TOPIC') return undefined;
    const { topic, body } = this.frame;
    if (!topic.startsWith(GATE_TOPIC_PREFIX)) return undefined;
    const value: unknown = body.kind === BodyKind.none ? undefined : JSON.parse(Buffer.from(body.bytes).toString());
    switch (topic.slice(GATE_TOPIC_PREFIX.length)) {
      case 'open':
        return { kind: 'open', body: value };
      case 'resume':
        return { kind: 'resume', body: value };
      case 'ack':
        return { kind: 'ack', count: value };
      case 'bye':
        return { kind: 'bye' };
      default:
        return undefined;
    }
  }

  isCounted(frame: Uint8Array): boolean {
    const at = writtenWsHeaderBytes(frame);
    // Only topics of the gate start with it, and a reply has no topic at this position.
    if (frame[at + HEAD.length] !== DOLLAR) return true;
    for (let i = 0; i < OWN_HEAD.length; i++) if (frame[at + i] !== OWN_HEAD[i]) return true;
    return false;
  }

  endedBy(frame: Uint8Array): number {
    const at = writtenWsHeaderBytes(frame);
    const head = Buffer.from(frame.subarray(at, at + MAX_REPLY_HEAD)).toString('latin1');
    return Number(REPLY_HEAD.exec(head)?.[1] ?? 0);
  }

  notice(kind: SessionNotice, body: object): Buffer {
    return textFrame(JSON.stringify({ topic: `${GATE_TOPIC_PREFIX}${kind}`, body }));
  }

  count(kind: 'ack' | 'mark', count: number): Buffer {
    return textFrame(`{"topic":"${GATE_TOPIC_PREFIX}${kind}","body":${count}}`);
  }
}

/** A fast check for each frame: false for almost all messages. */
function mayBeOwn(data: Buffer): boolean {
  for (let i = 0; i < HEAD.length; i++) {
    if (data[i] !== HEAD[i]) return data.includes(GATE_TOPIC_PREFIX) || data.includes('\\u');
  }
  const first = data[HEAD.length];
  return first === DOLLAR || first === BACKSLASH;
}

/** The count in an acknowledgement of the usual form, the most frequent frame about a session. -1 for all other frames. */
function readAck(data: Buffer): number {
  const end = data.length - 1;
  const digits = end - ACK_HEAD.length;
  if (digits < 1 || digits > MAX_FAST_DIGITS || data[end] !== CLOSE_OBJECT) return -1;
  for (let i = 0; i < ACK_HEAD.length; i++) if (data[i] !== ACK_HEAD[i]) return -1;
  // A JSON number has no leading zero.
  if (data[ACK_HEAD.length] === ZERO && digits > 1) return -1;
  let count = 0;
  for (let i = ACK_HEAD.length; i < end; i++) {
    const digit = (data[i] as number) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    count = count * 10 + digit;
  }
  return count;
}
