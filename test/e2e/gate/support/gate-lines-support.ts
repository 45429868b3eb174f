import { connect, type Socket } from 'node:net';
import type { StreamCodec } from '@nestgate/gate';
import type { Body } from '@nestgate/protocol';
import { type ReceivedFrame, waitUntil } from '@nestgate/testing';
import { LineSplitter, LineWire } from './gate-examples-wire.js';

class CountingWire extends LineWire {
  pushes = 0;

  override push(topic: string, body: Body): Buffer<ArrayBuffer> {
    this.pushes++;
    return super.push(topic, body);
  }
}

/** The codec of lines, which counts how many pushes it has encoded. */
export class CountingLines implements StreamCodec {
  readonly wire = new CountingWire();

  createSplitter(maxSize: number, onMessage: (message: Buffer) => void): LineSplitter {
    return new LineSplitter(maxSize, onMessage);
  }
}

/** A client of the codec of lines. */
export class LineClient {
  private text = '';

  private constructor(readonly socket: Socket) {
    socket.setEncoding('utf8');
    socket.on('data', chunk => (this.text += String(chunk)));
    socket.on('error', () => undefined);
  }

  /** Connects, and waits for the hello. */
  static async connect(port: number): Promise<LineClient> {
    const client = new LineClient(connect(port, '127.0.0.1'));
    await client.push('$gate/hello');
    return client;
  }

  get frames(): ReceivedFrame[] {
    return this.text
      .split('\n')
      .slice(0, -1)
      .map(line => JSON.parse(line) as ReceivedFrame);
  }

  /** The body of the first push on a topic. */
  async push(topic: string): Promise<unknown> {
    return (await waitUntil(`a push on ${topic}`, () => this.frames.find(frame => frame.topic === topic))).body;
  }

  async exchange(topic: string, body: unknown, id: number): Promise<ReceivedFrame> {
    this.socket.write(`${JSON.stringify({ topic, body, id })}\n`);
    return waitUntil(`the answer to request ${id}`, () => this.frames.find(frame => frame.id === id));
  }

  close(): void {
    this.socket.destroy();
  }
}
