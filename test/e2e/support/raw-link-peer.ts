import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { NodeInfo, NodeRole } from '@nestgate/link';
import { waitUntil } from '@nestgate/testing';

/** The types of messages, as they stand on the wire. */
export const WIRE = {
  hello: 1,
  proof: 2,
  frame: 3,
  cast: 4,
  info: 5,
  ping: 6,
  bye: 7,
  refused: 8,
  ready: 9,
  duplicate: 10,
} as const;

export const nodeInfo = (id: string, role: NodeRole = 'worker', epoch = '1'): NodeInfo => ({
  id,
  role,
  epoch,
  modules: [],
  draining: false,
});

/** A message on the wire. */
export function wireMessage(type: number, content: string | Uint8Array = ''): Buffer {
  const bytes = Buffer.from(content as string);
  const header = Buffer.alloc(5);
  header.writeUInt32LE(bytes.length + 1);
  header[4] = type;
  return Buffer.concat([header, bytes]);
}

/** One end of a connection of the tcp link, of which a test sends every byte itself. */
export class RawLinkPeer {
  readonly nonce = randomBytes(32);
  /** Everything that came, cut into messages. */
  readonly messages: [type: number, content: Buffer][] = [];
  /** The other side has ended the connection. */
  isEnded = false;
  private received = Buffer.alloc(0);

  constructor(
    readonly socket: Socket,
    private readonly secret: string,
    private readonly isDialer: boolean,
  ) {
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('end', () => (this.isEnded = true));
    socket.on('close', () => (this.isEnded = true));
    socket.on('data', chunk => this.take(chunk));
  }

  /** Connects, and says nothing. */
  static async dial(port: number, secret = ''): Promise<RawLinkPeer> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    await once(socket, 'connect');
    return new RawLinkPeer(socket, secret, true);
  }

  send(type: number, content: string | Uint8Array = ''): void {
    this.raw(wireMessage(type, content));
  }

  raw(bytes: Uint8Array): void {
    if (this.socket.writable) this.socket.write(bytes);
  }

  sayHello(nonce: Uint8Array = this.nonce, version = 2): void {
    this.send(WIRE.hello, Buffer.concat([Buffer.of(version), nonce]));
  }

  /** The proof for what the other side has said hello with. */
  async proof(
    info: NodeInfo | Buffer,
    { isDialer = this.isDialer, nonce = this.nonce as Buffer } = {},
  ): Promise<Buffer> {
    const challenge = (await this.next(WIRE.hello)).subarray(1);
    const text = Buffer.isBuffer(info) ? info : Buffer.from(JSON.stringify(info));
    const mac = createHmac('sha256', this.secret)
      .update(isDialer ? 'nestgate dialer' : 'nestgate listener')
      .update(Buffer.alloc(32))
      .update(challenge)
      .update(nonce)
      .update(text)
      .digest();
    return Buffer.concat([mac, text]);
  }

  /** Says hello and proves itself, as a dialer does. */
  async prove(info: NodeInfo | Buffer): Promise<void> {
    this.sayHello();
    this.send(WIRE.proof, await this.proof(info));
  }

  /** Becomes a peer of the gate that was dialled. */
  async join(info: NodeInfo): Promise<this> {
    await this.prove(info);
    await this.next(WIRE.proof);
    this.send(WIRE.ready);
    await this.next(WIRE.ready);
    return this;
  }

  /** The first message of a type that came, or will come. */
  async next(type: number): Promise<Buffer> {
    return waitUntil(`a message of the type ${type}`, () => {
      const found = this.messages.find(([each]) => each === type)?.[1];
      if (!found && this.isEnded) throw new Error(`Ended after ${JSON.stringify(this.messages.map(([each]) => each))}`);
      return found;
    });
  }

  /** Waits for the end. Returns why the other side has refused this one; `undefined` when it did not say. */
  async refusal(timeoutMs?: number): Promise<string | undefined> {
    await waitUntil('the end', () => this.isEnded, timeoutMs);
    return this.messages.find(([type]) => type === WIRE.refused)?.[1].toString();
  }

  private take(chunk: Buffer): void {
    this.received = Buffer.concat([this.received, chunk]);
    while (this.received.length >= 5) {
      const size = 4 + this.received.readUInt32LE(0);
      if (this.received.length < size) return;
      this.messages.push([this.received[4] as number, Buffer.from(this.received.subarray(5, size))]);
      this.received = this.received.subarray(size);
    }
  }
}

/** A listener that may be anything but a gate: tests answer what is dialled themselves. */
export class RawLinkGate {
  readonly peers: RawLinkPeer[] = [];
  /** When each connection came, by a clock that nobody sets. */
  readonly times: number[] = [];

  private constructor(
    private readonly server: Server,
    secret: string,
    onPeer: (peer: RawLinkPeer) => void,
  ) {
    server.on('connection', socket => {
      const peer = new RawLinkPeer(socket, secret, false);
      this.peers.push(peer);
      this.times.push(performance.now());
      onPeer(peer);
    });
  }

  static async listen(secret: string, onPeer: (peer: RawLinkPeer) => void): Promise<RawLinkGate> {
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    return new RawLinkGate(server, secret, onPeer);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async end(): Promise<void> {
    const closed = new Promise<void>(resolve => this.server.close(() => resolve()));
    for (const { socket } of this.peers) socket.destroy();
    await closed;
  }
}
