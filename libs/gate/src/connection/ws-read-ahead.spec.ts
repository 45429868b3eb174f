import { describe, expect, it } from '@jest/globals';
import * as ws from 'ws';
import { readAhead } from './ws-read-ahead.js';

/** Parts of a receiver of `ws`, which has no types of its own. */
interface Insides {
  write(chunk: Buffer): boolean;
  on(event: string, listener: (data: Buffer) => void): void;
  readonly _buffers: readonly Buffer[];
}

function create(maxPayload: number): { receiver: Insides; read: Buffer[]; passed: Buffer[] } {
  // `ws` exports it, but its types do not.
  const { Receiver } = ws as unknown as { Receiver: new (options: object) => Insides };
  const receiver = new Receiver({ isServer: true, maxPayload });
  const read: Buffer[] = [];
  const passed: Buffer[] = [];
  receiver.on('message', data => passed.push(data));
  // The rest of a WebSocket is not looked at.
  readAhead({ _receiver: receiver } as unknown as ws.WebSocket, false, {
    onFrame: data => read.push(data),
    onDefect: error => {
      throw error;
    },
  });
  return { receiver, read, passed };
}

function maskedText(text: string): Buffer {
  const payload = Buffer.from(text);
  // Masked with zeros, which changes nothing.
  const { length } = payload;
  const head = length < 126 ? [0x80 | length] : [0x80 | 126, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(0x81, ...head, 0, 0, 0, 0), payload]);
}

describe('readAhead', () => {
  it('keeps few chunks of a frame that comes in many, and loses none', () => {
    const { receiver, passed } = create(65_535);
    const text = Array.from({ length: 5_000 }, (_, n) => String(n % 10)).join('');
    const frame = maskedText(text);
    let most = 0;
    for (let i = 0; i < frame.length;) {
      // A large one now and then.
      const end = Math.min(frame.length, i + (i % 1_000 === 999 ? 1_500 : 1));
      receiver.write(frame.subarray(i, end));
      most = Math.max(most, receiver._buffers.length);
      i = end;
    }
    expect(most).toBeLessThanOrEqual(64);
    expect(passed.map(String)).toEqual([text]);
  });

  it('hands over a whole frame itself', () => {
    const { receiver, read, passed } = create(65_535);
    receiver.write(Buffer.concat([maskedText('one'), maskedText('two')]));
    expect([read.map(String), passed]).toEqual([['one', 'two'], []]);
  });
});
