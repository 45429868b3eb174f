import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { messageHeader } from './tcp-message.js';
import { TcpSplitter } from './tcp-splitter.js';

const message = (type: number, content: Buffer): Buffer =>
  Buffer.concat([messageHeader(type, content.length), content]);

/** What a splitter makes of a stream that comes in these chunks. */
function split(chunks: readonly Buffer[], maxBytes = 1_000_000): [type: number, content: string][] {
  const messages: [number, string][] = [];
  const splitter = new TcpSplitter(maxBytes, (type, content) => void messages.push([type, content.toString('hex')]));
  for (const chunk of chunks) splitter.push(chunk);
  return messages;
}

describe('TcpSplitter', () => {
  it('finds the same messages however the stream is cut into chunks', () => {
    const messages = fc.array(fc.tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 3_000 })), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 2_000 }), { minLength: 1 }), (sent, sizes) => {
        const stream = Buffer.concat(sent.map(([type, content]) => message(type, Buffer.from(content))));
        const chunks: Buffer[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = sizes[i % sizes.length] as number;
          chunks.push(stream.subarray(at, at + size));
          at += size;
        }
        expect(split(chunks)).toEqual(sent.map(([type, content]) => [type, Buffer.from(content).toString('hex')]));
      }),
      { numRuns: 200 },
    );
  });

  it('takes a stream byte by byte', () => {
    const stream = Buffer.concat([
      message(3, Buffer.from('one')),
      message(6, Buffer.alloc(0)),
      message(4, Buffer.of(1)),
    ]);
    expect(split(Array.from(stream, byte => Buffer.of(byte)))).toEqual([
      [3, Buffer.from('one').toString('hex')],
      [6, ''],
      [4, '01'],
    ]);
  });

  it.each([
    ['nothing at all', Buffer.of(0, 0, 0, 0, 1)],
    ['more than is allowed', messageHeader(3, 100)],
    ['4 GiB', Buffer.of(0xff, 0xff, 0xff, 0xff, 3)],
  ])('refuses a message of %s as soon as it says so', (_, head) => {
    expect(() => split([head], 100)).toThrow('impossible length');
    expect(() =>
      split(
        Array.from(head, byte => Buffer.of(byte)),
        100,
      ),
    ).toThrow('impossible length');
  });

  it('takes a message that is as large as is allowed', () => {
    expect(split([message(3, Buffer.alloc(95))], 100)).toHaveLength(1);
    expect(() => split([message(3, Buffer.alloc(96))], 100)).toThrow('impossible length');
  });

  it('emits nothing after it is stopped, not even from the current chunk', () => {
    const seen: number[] = [];
    const splitter = new TcpSplitter(100, type => {
      seen.push(type);
      if (type === 2) splitter.stop();
    });
    splitter.push(Buffer.concat([1, 2, 3].map(type => message(type, Buffer.alloc(1)))));
    splitter.push(Buffer.from('what follows is not even read'));
    expect(seen).toEqual([1, 2]);
  });

  it('holds what has come, and not what was claimed', () => {
    const before = process.memoryUsage().arrayBuffers;
    const splitters = Array.from({ length: 50 }, () => {
      const splitter = new TcpSplitter(16 * 1024 * 1024, () => undefined);
      splitter.push(messageHeader(3, 15 * 1024 * 1024));
      for (let i = 0; i < 1_000; i++) splitter.push(Buffer.of(i));
      return splitter;
    });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20 * 1024 * 1024);
    expect(splitters).toHaveLength(50);
  });

  it('leaves alone what a receiver keeps, and uses the memory of other messages again', () => {
    const sizes = fc.oneof(fc.nat(200), fc.integer({ min: 3_000, max: 30_000 }));
    const messages = fc.array(fc.tuple(fc.boolean(), sizes, fc.nat(255)), { maxLength: 12 });
    const memories = new Set<ArrayBufferLike>();
    let large = 0;
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1 }), (sent, cuts) => {
        const kept: Buffer[] = [];
        const seen: string[] = [];
        const splitter = new TcpSplitter(1_000_000, (type, content) => {
          seen.push(content.toString('hex'));
          if (content.length > 5_000) large++;
          if (content.length > 5_000) memories.add(content.buffer);
          if (type === 1) kept.push(content);
          return type === 0;
        });
        const stream = Buffer.concat(
          sent.map(([keeps, size, byte]) => message(Number(keeps), Buffer.alloc(size, byte))),
        );
        const shared = Buffer.alloc(20_000);
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = stream.copy(shared, 0, at, at + (cuts[i % cuts.length] as number));
          splitter.push(shared, size, true);
          at += size;
        }
        const expected = sent.map(([, size, byte]) => Buffer.alloc(size, byte).toString('hex'));
        expect(seen).toEqual(expected);
        expect(kept.map(content => content.toString('hex'))).toEqual(expected.filter((_, i) => sent[i]?.[0]));
      }),
      { numRuns: 200 },
    );
    expect(memories.size).toBeLessThan(large * 0.9);
  });
});
