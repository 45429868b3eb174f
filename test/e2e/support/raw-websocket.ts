import { type ReceivedFrame, waitUntil } from '@nestgate/testing';
import { RawSocket, type RawRequest, upgradeRequest } from './raw-socket.js';

export const OP = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** The parts of a frame as a client may write it, rightly or wrongly. */
export interface FrameParts {
  readonly fin?: boolean;
  /** RSV1, RSV2, RSV3 as 4, 2, 1. */
  readonly rsv?: number;
  readonly opcode?: number;
  readonly masked?: boolean;
  readonly payload?: string | Uint8Array;
  /** A 64-bit length that is told instead of the payload's own. */
  readonly claim?: bigint;
  /** The bits that the length is written in, however short it is: 16 or 64. */
  readonly lengthBits?: 16 | 64;
}

const MASK = Buffer.of(0x5a, 0x01, 0xfe, 0x33);

export function wsFrame({
  fin = true,
  rsv = 0,
  opcode = 1,
  masked = true,
  payload = '',
  claim,
  lengthBits,
}: FrameParts): Buffer {
  const data = Buffer.from(payload);
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const maskBit = masked ? 0x80 : 0;
  const bits = claim === undefined ? (lengthBits ?? (data.length < 126 ? 7 : data.length < 65_536 ? 16 : 64)) : 64;
  if (bits === 7) head.push(maskBit | data.length);
  else if (bits === 16) head.push(maskBit | 126, data.length >> 8, data.length & 0xff);
  else {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(claim ?? BigInt(data.length));
    head.push(maskBit | 127, ...length);
  }
  if (!masked) return Buffer.concat([Buffer.from(head), data]);
  for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) ^ (MASK[i % 4] as number);
  return Buffer.concat([Buffer.from(head), MASK, data]);
}

export function textFrame(text: string): Buffer {
  return wsFrame({ payload: text });
}

export function closeFrame(code: number, reason: string | Uint8Array = ''): Buffer {
  return wsFrame({
    opcode: OP.close,
    payload: Buffer.concat([Buffer.of(code >> 8, code & 0xff), Buffer.from(reason)]),
  });
}

/** A message in so many frames. */
export function fragments(...parts: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat(
    parts.map((payload, i) =>
      wsFrame({ opcode: i === 0 ? OP.text : OP.continuation, fin: i === parts.length - 1, payload }),
    ),
  );
}

/** A `gate.json` client that speaks WebSocket by hand, over a {@link RawSocket}. It masks, and never pings. */
export class RawClient {
  /** The messages received, in order, without the hello. */
  readonly frames: ReceivedFrame[] = [];
  readonly pongs: string[] = [];
  /** The code of the close frame received; 1005 for one without. */
  closeCode: number | undefined;
  /** Frames received after the close frame, which there must never be. */
  framesAfterClose = 0;
  private greeted = false;
  /** How much of what the socket has received has been read. */
  private at = 0;

  private constructor(
    readonly socket: RawSocket,
    private readonly stubborn: boolean,
  ) {
    socket.onData = () => this.read();
    this.read();
  }

  /** Upgrades and waits for the hello. `stubborn`: it does not end when it is sent a close frame. */
  static async connect(port: number, { stubborn = false, ...request }: RawRequest & { stubborn?: boolean } = {}) {
    return RawClient.over(await RawSocket.open(port, { stubborn }), upgradeRequest(request), stubborn);
  }

  /** Upgrades a connection with a request that may have frames behind it. */
  static async over(socket: RawSocket, request: string | Uint8Array, stubborn = false): Promise<RawClient> {
    socket.send(request);
    const client = new RawClient(socket, stubborn);
    await waitUntil('the hello', () => {
      if (!client.greeted && socket.ended) throw new Error(`No hello: ${socket.received.toString()}`);
      return client.greeted;
    });
    return client;
  }

  send(bytes: Uint8Array): void {
    this.socket.send(bytes);
  }

  sendText(...texts: readonly string[]): void {
    this.send(Buffer.concat(texts.map(textFrame)));
  }

  /** The frame that answers a request. */
  async answer(id: number): Promise<ReceivedFrame> {
    return waitUntil(`the answer to ${id}`, () => {
      const found = this.frames.find(frame => frame.id === id);
      if (!found && this.socket.ended) throw new Error(`Closed with ${this.closeCode} before the answer to ${id}`);
      return found;
    });
  }

  /** Asks for an echo and waits for it: then all that was sent before has been dealt with. */
  async sync(id = 777_001): Promise<void> {
    this.sendText(`{"topic":"echo/echo","id":${id}}`);
    await this.answer(id);
  }

  /** Waits for the close frame, and for the end of the connection. */
  async closed(): Promise<number | undefined> {
    await waitUntil('the end', () => this.socket.ended);
    return this.closeCode;
  }

  private read(): void {
    const { received } = this.socket;
    if (this.at === 0) {
      const head = received.indexOf('\r\n\r\n');
      if (head < 0 || this.socket.status !== 101) return;
      this.at = head + 4;
    }
    while (received.length - this.at >= 2) {
      const opcode = received.readUInt8(this.at);
      const [header, length] = sizeOf(received.subarray(this.at + 1));
      const end = this.at + header + length;
      if (received.length < end) return;
      this.take(opcode, received.subarray(this.at + header, end));
      this.at = end;
    }
  }

  private take(head: number, payload: Buffer): void {
    if (this.closeCode !== undefined) this.framesAfterClose++;
    switch (head) {
      case 0x80 | OP.text: {
        const frame = JSON.parse(payload.toString()) as ReceivedFrame;
        if (frame.topic === '$gate/hello') this.greeted = true;
        else this.frames.push(frame);
        break;
      }
      case 0x80 | OP.pong:
        this.pongs.push(payload.toString());
        break;
      case 0x80 | OP.close:
        this.closeCode ??= payload.length === 0 ? 1005 : payload.readUInt16BE(0);
        if (!this.stubborn) this.socket.socket.end();
        break;
      default:
        throw new Error(`The gate sent a frame that starts with 0x${head.toString(16)}`);
    }
  }
}

/** How long the header and the payload of a server's frame are, from its second byte on. */
function sizeOf(bytes: Buffer): [header: number, payload: number] {
  const length = bytes.readUInt8(0);
  if (length < 126) return [2, length];
  if (length === 126) return bytes.length < 3 ? [4, Infinity] : [4, bytes.readUInt16BE(1)];
  if (length === 127) return bytes.length < 9 ? [10, Infinity] : [10, Number(bytes.readBigUInt64BE(1))];
  throw new Error('The gate sent a masked frame');
}
