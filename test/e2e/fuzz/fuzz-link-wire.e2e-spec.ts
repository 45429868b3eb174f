import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { NatsFragments, partHead, readPart } from '../../../libs/link/src/drivers/nats/nats-fragments.js';
import { readCast, readText } from '../../../libs/link/src/drivers/tcp/tcp-message.js';
import { TcpSplitter } from '../../../libs/link/src/drivers/tcp/tcp-splitter.js';
import { readNodeInfo } from '../../../libs/link/src/node-info.js';
import { cuts, cutUp, fuzz, fuzzTimeout, mutated, randomBytes } from './support/fuzz-support.js';
import { nodeInfo, wireMessage } from '../support/raw-link-peer.js';

const SHARE = 1.25;

describe('a fuzzed stream of the tcp link', () => {
  const MAX = 500;
  const messages = fc
    .array(fc.tuple(fc.nat(12), randomBytes), { maxLength: 6 })
    .map(all => Buffer.concat(all.map(([type, content]) => wireMessage(type, content))));

  /** Its messages, and whether it ends with one that is impossible. */
  function expected(stream: Buffer): string[] {
    const all: string[] = [];
    for (let at = 0; at + 5 <= stream.length;) {
      const size = 4 + stream.readUInt32LE(at);
      if (size < 5 || size > MAX) return [...all, 'LINK_CORRUPT'];
      if (at + size > stream.length) break;
      all.push(`${stream[at + 4]} ${stream.toString('latin1', at + 5, at + size)}`);
      at += size;
    }
    return all;
  }

  it(
    'is cut the same way however it arrives',
    () =>
      fuzz({
        name: 'streams of the tcp link',
        inputs: fc.tuple(mutated(messages), cuts),
        share: SHARE,
        minRuns: 300,
        check: ([stream, at]) => {
          const all: string[] = [];
          const splitter = new TcpSplitter(MAX, (type, content) => all.push(`${type} ${content.toString('latin1')}`));
          try {
            for (const piece of cutUp(stream, at)) splitter.push(piece);
          } catch (error) {
            all.push((error as { code: string }).code);
          }
          expect(all).toEqual(expected(stream));
        },
      }),
    fuzzTimeout(SHARE),
  );

  it(
    'has casts, texts and information that are read or refused',
    () =>
      fuzz({
        name: 'contents of the tcp link',
        inputs: fc.oneof(
          mutated(fc.string().map(each => Buffer.concat([Buffer.of(each.length, 0), Buffer.from(each)]))),
          mutated(fc.constant(Buffer.from(JSON.stringify({ ...nodeInfo('w1'), modules: ['a', 'b'] })))),
        ),
        share: SHARE,
        minRuns: 300,
        check: content => {
          const cast = readCast(content);
          if (cast) expect(cast.frame.length).toBeLessThanOrEqual(content.length - 2);
          // oxlint-disable-next-line no-control-regex
          expect(readText(content)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
          try {
            const { id, role, epoch, modules } = readNodeInfo(content);
            expect(id).toMatch(/^[\w-]{1,64}$/);
            expect(['gate', 'worker', 'api']).toContain(role);
            expect([typeof epoch, ...modules.map(each => typeof each)]).toEqual([
              'string',
              ...modules.map(() => 'string'),
            ]);
          } catch (error) {
            if ((error as { code?: string }).code !== 'LINK_CORRUPT') throw error;
          }
        },
      }),
    fuzzTimeout(SHARE),
  );
});

describe('fuzzed messages of the nats link', () => {
  const sender = (id: string): Buffer => partHead(nodeInfo(id), 1, 1);
  /** Frames of two senders in parts, of which some are lost, doubled, swapped or changed. */
  const inputs = fc.array(
    fc.record({
      from: fc.constantFrom('w1', 'w2'),
      size: fc.integer({ min: 1, max: 3_000 }),
      fate: fc.array(fc.constantFrom('keep', 'keep', 'keep', 'lose', 'double', 'swap', 'change'), { maxLength: 5 }),
      at: fc.nat(2_000),
    }),
    { maxLength: 8 },
  );

  it(
    'become whole frames that were sent, or none',
    () =>
      fuzz({
        name: 'messages of the nats link',
        inputs,
        share: SHARE,
        minRuns: 300,
        check: frames => {
          const [out, back] = [new NatsFragments(), new NatsFragments()];
          const sent = new Set<string>();
          for (const [number, { from, size, fate, at }] of frames.entries()) {
            const frame = Buffer.alloc(size, number + 1);
            sent.add(frame.toString('latin1'));
            const parts = out.split(sender(from), frame, 640) ?? [];
            const changed = fate.includes('change');
            const travelling = parts.flatMap((part, i) => {
              const how = fate[i] ?? 'keep';
              if (how === 'lose') return [];
              if (how === 'double') return [part, part];
              const copy = Buffer.from(part);
              if (how === 'change') copy[at % 60] = (copy[at % 60] as number) ^ 0x15;
              return [copy];
            });
            if (fate.includes('swap')) travelling.reverse();
            for (const bytes of travelling) {
              const part = readPart(bytes);
              const whole = part && back.add(part);
              if (whole && !changed && part.from === from) expect(sent).toContain(whole.toString('latin1'));
            }
          }
        },
      }),
    fuzzTimeout(SHARE),
  );

  it(
    'of random bytes are none, or small ones',
    () =>
      fuzz({
        name: 'random messages of the nats link',
        inputs: fc.array(mutated(fc.constantFrom(sender('w1'), Buffer.alloc(0), Buffer.of(0x16), Buffer.of(0x13)))),
        share: SHARE,
        minRuns: 300,
        check: messages => {
          const fragments = new NatsFragments();
          for (const bytes of messages) {
            const part = readPart(bytes);
            if (part)
              expect((fragments.add(part) ?? '').length).toBeLessThanOrEqual(messages.length * bytes.length + 99);
          }
        },
      }),
    fuzzTimeout(SHARE),
  );
});
