import type { Socket } from 'node:net';
import { pass, TcpProxy } from './tcp-proxy.js';

/** What happens to the n-th of the frames that matter, counted from 1. */
export interface FramePlan {
  readonly drop?: readonly number[];
  readonly duplicate?: readonly number[];
  /** Each of these changes places with the frame behind it. */
  readonly swap?: readonly number[];
  /** Each of these arrives with another letter in its filler. */
  readonly corrupt?: readonly number[];
}

/** What the frames that matter have in them; all others are left alone. */
const MARK = '"pad":"';
const HEAD_END = '\r\n\r\n';

/** A proxy between a WebSocket client and its gate that spoils frames on their way to the client, as planned. */
export function startFrameProxy(gatePort: number, plan: FramePlan): Promise<TcpProxy> {
  return TcpProxy.start(gatePort, (client, gate) => {
    pass(client, gate);
    const spoiler = new FrameSpoiler(client, plan);
    gate.on('data', chunk => spoiler.take(chunk));
    gate.on('end', () => client.end());
  });
}

/** Splits what a gate sends into frames, and hands them on or does worse. */
class FrameSpoiler {
  private buffer = Buffer.alloc(0);
  private upgraded = false;
  private count = 0;
  private held: Buffer | undefined;

  constructor(
    private readonly client: Socket,
    private readonly plan: FramePlan,
  ) {}

  take(chunk: Buffer): void {
    this.buffer = Buffer.concat([this.buffer, chunk]);
    if (!this.upgraded) {
      const end = this.buffer.indexOf(HEAD_END);
      if (end < 0) return;
      this.upgraded = true;
      this.client.write(this.cutOff(end + HEAD_END.length));
    }
    for (let size = frameSize(this.buffer); size > 0 && size <= this.buffer.length; size = frameSize(this.buffer)) {
      this.handOn(this.cutOff(size));
    }
  }

  private handOn(frame: Buffer): void {
    if (!frame.includes(MARK)) {
      this.client.write(frame);
      return;
    }
    this.count++;
    const is = (list: readonly number[] = []) => list.includes(this.count);
    const { held, plan } = this;
    this.held = undefined;
    if (is(plan.swap)) this.held = frame;
    else if (is(plan.corrupt)) this.client.write(corrupted(frame));
    else if (!is(plan.drop)) this.client.write(frame);
    if (is(plan.duplicate)) this.client.write(frame);
    if (held) this.client.write(held);
  }

  private cutOff(size: number): Buffer {
    const part = this.buffer.subarray(0, size);
    this.buffer = this.buffer.subarray(size);
    return part;
  }
}

/** The size of the frame that a buffer begins with; 0 when that cannot be told yet. Servers mask nothing. */
function frameSize(buffer: Buffer): number {
  if (buffer.length < 2) return 0;
  const length = buffer.readUInt8(1);
  if (length < 126) return 2 + length;
  if (length === 126) return buffer.length < 4 ? 0 : 4 + buffer.readUInt16BE(2);
  return buffer.length < 10 ? 0 : 10 + Number(buffer.readBigUInt64BE(2));
}

function corrupted(frame: Buffer): Buffer {
  const copy = Buffer.from(frame);
  const at = copy.indexOf(MARK) + MARK.length;
  copy[at] = copy[at] === 0x7a ? 0x79 : 0x7a;
  return copy;
}
