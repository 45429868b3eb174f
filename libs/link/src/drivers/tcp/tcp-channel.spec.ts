import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { GateError } from '@nestgate/protocol';
import type { NodeInfo } from '../../link.js';
import { TcpChannel, type TcpChannelEvents } from './tcp-channel.js';
import { TcpHandshake } from './tcp-handshake.js';
import { MAX_MESSAGE_BYTES } from './tcp-message.js';

const KIB = 1024;
const info = (id: string): NodeInfo => ({ id, role: 'gate', epoch: '1', modules: [], draining: false });

/** One end of a connection, which lets everybody in. */
class End implements TcpChannelEvents {
  readonly frames: number[] = [];
  readonly faults: string[] = [];
  drains = 0;
  isReady = false;
  isClosed = false;
  /** Called with each frame. */
  onEach: () => void = () => undefined;
  readonly channel: TcpChannel;

  constructor(socket: Socket, isDialer: boolean) {
    const self = info(isDialer ? 'g1' : 'g2');
    this.channel = new TcpChannel(socket, isDialer, new TcpHandshake('', isDialer), () => self, this);
  }

  meet = () => 'go' as const;
  admit = () => 'go' as const;
  onDuplicate = () => undefined;
  onDefect = () => undefined;
  onCast = () => undefined;
  onInfo = () => undefined;
  onReady = () => void (this.isReady = true);
  onDrain = () => void this.drains++;
  onClose = () => void (this.isClosed = true);
  onFault = (_: TcpChannel, fault: GateError) => void this.faults.push(fault.code);
  onFrame = (_: TcpChannel, frame: Buffer) => {
    this.frames.push(frame.length);
    this.onEach();
    return true;
  };
}

/** One of two ends that are connected, which a test can close and let pass one write after the other. */
class Valve extends Duplex {
  isOpen = true;
  private other: Valve | undefined;
  private held: (() => void) | undefined;

  static pair(): [Valve, Valve] {
    const [one, other] = [new Valve(), new Valve()];
    [one.other, other.other] = [other, one];
    return [one, other];
  }

  setNoDelay(): void {
    // Nothing waits here for more to come.
  }

  /** Lets the write pass that waits. */
  release(): void {
    const { held } = this;
    this.held = undefined;
    held?.();
  }

  override _read(): void {
    // Whatever comes is pushed.
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.held = () => {
      this.other?.push(chunk);
      done();
    };
    if (this.isOpen) setImmediate(() => this.release());
  }
}

describe('TcpChannel', () => {
  let near: End;
  let far: End;

  const turn = () => new Promise(resolve => setImmediate(resolve));

  /** Waits turns of the event loop for a condition. */
  async function until(condition: () => boolean): Promise<void> {
    for (let i = 0; i < 100_000 && !condition(); i++) await turn();
    expect(condition()).toBe(true);
  }

  beforeEach(async () => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const dialled = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const [accepted] = (await once(server, 'connection')) as [Socket];
    server.close();
    far = new End(accepted, false);
    near = new End(dialled, true);
  });

  afterEach(async () => {
    near.channel.destroy();
    far.channel.destroy();
    await until(() => near.isClosed && far.isClosed);
  });

  const ready = () => until(() => near.isReady && far.isReady);

  it('sends nothing before both sides are ready, and nothing when it ends', async () => {
    expect(near.channel.send(Buffer.from('x'))).toBe('refused');
    await ready();
    expect(near.channel.send(Buffer.from('x'))).toBe('sent');
    near.channel.close(true);
    expect(near.channel.send(Buffer.from('x'))).toBe('refused');
    await until(() => far.isClosed);
    expect(far.channel.saidBye).toBe(true);
    expect(far.frames).toEqual([1]);
  });

  it('sends no frame that the other side would not take', async () => {
    await ready();
    expect(near.channel.send(Buffer.alloc(MAX_MESSAGE_BYTES))).toBe('refused');
    near.channel.send(Buffer.alloc(MAX_MESSAGE_BYTES - 5));
    await until(() => far.frames.length === 1);
    expect(far.faults).toEqual([]);
  });

  it('says that more can be sent although there always is something to send', async () => {
    const [one, other] = Valve.pair();
    const sender = new End(one as unknown as Socket, true);
    const receiver = new End(other as unknown as Socket, false);
    await until(() => sender.isReady && receiver.isReady);
    one.isOpen = false;
    while (sender.channel.send(Buffer.alloc(256 * KIB)) !== 'congested');
    for (let i = 0; i < 100 && sender.drains === 0; i++) {
      // One more leaves whenever one more comes, its header apart.
      sender.channel.send(Buffer.alloc(16 * KIB));
      for (let part = 0; part < 2; part++) {
        one.release();
        await turn();
      }
    }
    expect(sender.drains).toBe(1);
    expect(one.writableLength).toBeGreaterThan(0);
    expect(one.writableLength).toBeLessThanOrEqual(512 * KIB);
    one.isOpen = true;
    one.release();
    await until(() => one.writableLength === 0);
    expect(sender.drains).toBe(1);
    sender.channel.destroy();
    receiver.channel.destroy();
  });

  it('ends with a leave message without drain, if it can be written immediately', async () => {
    await ready();
    near.channel.close(false);
    await until(() => far.isClosed);
    expect(far.channel.saidBye).toBe(true);
  });

  it('ends without one when there is no time, and much is left to be sent', async () => {
    await ready();
    far.channel.socket.pause();
    while (near.channel.send(Buffer.alloc(256 * KIB)) !== 'congested');
    near.channel.close(false);
    expect(near.channel.socket.destroyed).toBe(true);
    far.channel.socket.resume();
    await until(() => far.isClosed);
    expect(far.channel.saidBye).toBe(false);
  });

  it('tells a peer nothing of a defect of its own but that there was one', async () => {
    await ready();
    far.onEach = () => {
      throw new Error('a secret of the inside');
    };
    near.channel.send(Buffer.from('x'));
    await until(() => near.isClosed);
    expect(far.faults).toEqual(['INTERNAL']);
    expect(near.channel.refusal).toBe(new GateError('INTERNAL').message);
  });
});
