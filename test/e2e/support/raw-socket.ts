import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { waitUntil } from '@nestgate/testing';

const open = new Set<RawSocket>();

/** A TCP connection of which a test sends every byte itself. */
export class RawSocket {
  /** Everything received so far. */
  received = Buffer.alloc(0);
  /** The other side has ended its half, or the connection is gone. */
  ended = false;
  onData: (data: Buffer) => void = () => undefined;

  private constructor(readonly socket: Socket) {
    open.add(this);
    socket.setNoDelay(true);
    socket.on('data', data => {
      this.received = Buffer.concat([this.received, data]);
      this.onData(data);
    });
    socket.on('end', () => (this.ended = true));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.ended = true;
      open.delete(this);
    });
  }

  /** Connects. `stubborn`: it does not end when the other side does. */
  static async open(port: number, { stubborn = false, localAddress = '127.0.0.1' } = {}): Promise<RawSocket> {
    const socket = connect({ port, host: '127.0.0.1', localAddress, allowHalfOpen: stubborn });
    await once(socket, 'connect');
    return new RawSocket(socket);
  }

  /** The status of the HTTP answer, when there is one. */
  get status(): number | undefined {
    const match = /^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n/.exec(this.received.toString('latin1'));
    return match ? Number(match[1]) : undefined;
  }

  send(data: string | Uint8Array): void {
    this.socket.write(data);
  }

  /** Sends byte by byte, each in a write of its own. */
  async drip(data: string | Uint8Array): Promise<void> {
    for (const byte of Buffer.from(data)) {
      await new Promise<unknown>(resolve => this.socket.write(Buffer.of(byte), resolve));
      await new Promise(resolve => setImmediate(resolve));
    }
  }

  /** Waits for the HTTP answer. */
  async answer(): Promise<number> {
    return waitUntil('an HTTP answer', () => {
      const { status } = this;
      if (status === undefined && this.ended) throw new Error(`Ended without an answer: ${this.received.toString()}`);
      return status;
    });
  }

  /** Ends the connection with a reset, so that no side keeps anything of it. */
  reset(): void {
    this.socket.resetAndDestroy();
  }
}

/** Resets what tests have left open. */
export function resetRawSockets(): void {
  for (const socket of open) socket.reset();
}

/** A header's value; several for one that stands there several times, none for one that is left out. */
export type RawHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface RawRequest {
  readonly method?: string;
  readonly path?: string;
  readonly version?: string;
  /** Replaces headers of the same name (as it is written here). */
  readonly headers?: RawHeaders;
}

const UPGRADE: RawHeaders = {
  Host: 'gate.test',
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version': '13',
};

/** The text of an HTTP request: a proper upgrade, but for what is said otherwise. */
export function upgradeRequest({
  method = 'GET',
  path = '/gate',
  version = '1.1',
  headers = {},
}: RawRequest = {}): string {
  const lines = [`${method} ${path} HTTP/${version}`];
  for (const [name, value] of Object.entries({ ...UPGRADE, ...headers })) {
    for (const single of value === undefined ? [] : [value].flat()) lines.push(`${name}: ${single}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** The status that a request is answered with; 101 when the upgrade was granted. */
export async function statusOf(port: number, request: string | Uint8Array): Promise<number> {
  const socket = await RawSocket.open(port);
  socket.send(request);
  return socket.answer();
}
