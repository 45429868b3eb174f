import { describe, expect, it } from '@jest/globals';
import type { NodeInfo } from '../../link.js';
import { controlPart, MAX_FRAME_BYTES, NatsFragments, type NatsPart, partHead, readPart } from './nats-fragments.js';

const node = (id: string, epoch = 'e1'): NodeInfo => ({ id, role: 'gate', epoch, modules: [], draining: false });
const head = partHead(node('g1'), 7, 1);
const read = (message: Buffer): NatsPart => readPart(message) as NatsPart;

function split(sender: NatsFragments, frame: Buffer, maxPayload: number, from = head): NatsPart[] {
  const messages = sender.split(from, frame, maxPayload) as Buffer[];
  for (const message of messages) expect(message.length).toBeLessThanOrEqual(maxPayload);
  return messages.map(read);
}

const filled = (size: number, text: string): Buffer => Buffer.alloc(size, text);

describe('NatsFragments', () => {
  it('carries who sent a frame, and under which tag', () => {
    expect(read(Buffer.concat([head, Buffer.from('x')]))).toMatchObject({
      from: 'g1',
      epoch: 'e1',
      tag: 7,
      generation: 1,
    });
    expect(read(controlPart(head, Buffer.from('x')))).toMatchObject({ from: 'g1', tag: 7, isControl: true });
  });

  it.each([0, 1, 4_095 - 15, 4_096 - 15, 4_097 - 15, 100_000])('takes frames of %i bytes apart and together', size => {
    const [sender, receiver] = [new NatsFragments(), new NatsFragments()];
    const frame = filled(size, 'abcdefg');
    const parts = split(sender, frame, 4_096);
    const frames = parts.map(part => receiver.add(part));
    expect(frames.slice(0, -1).every(each => each === undefined)).toBe(true);
    expect(frames.at(-1)?.equals(frame)).toBe(true);
    expect(receiver.broken).toBe(0);
  });

  it('needs one message where one is enough', () => {
    const sender = new NatsFragments();
    expect(sender.split(head, filled(4_096 - head.length, 'x'), 4_096)).toHaveLength(1);
    expect(sender.split(head, filled(4_097 - head.length, 'x'), 4_096)).toHaveLength(2);
  });

  it('says when there is no room for a frame', () => {
    const sender = new NatsFragments();
    expect(sender.split(head, filled(1_000, 'x'), 256)).toBeUndefined();
    expect(sender.split(head, Buffer.alloc(MAX_FRAME_BYTES + 1), 1_048_576)).toBeUndefined();
    expect(sender.split(head, Buffer.alloc(0x10000 * 1_000), 1_000)).toBeUndefined();
  });

  it('keeps senders apart', () => {
    const [a, b, receiver] = [new NatsFragments(), new NatsFragments(), new NatsFragments()];
    const ofA = split(a, filled(9_000, 'a'), 4_096);
    const ofB = split(b, filled(9_000, 'b'), 4_096, partHead(node('g2'), 7, 1));
    const frames = ofA.flatMap((part, i) => [receiver.add(part), receiver.add(ofB[i] as NatsPart)]);
    expect(frames.filter(Boolean).map(frame => (frame as Buffer).toString())).toEqual([
      'a'.repeat(9_000),
      'b'.repeat(9_000),
    ]);
  });

  // Every way in which parts of two frames can be lost: whatever arrives, no frame is made of the wrong parts.
  it('never glues parts of two frames together', () => {
    const sender = new NatsFragments();
    const frames = ['a', 'b', 'c'].map(text => filled(9_000, text));
    const parts = frames.flatMap(frame => split(sender, frame, 4_096));
    expect(parts).toHaveLength(9);
    for (let lost = 0; lost < 2 ** parts.length; lost++) {
      const receiver = new NatsFragments();
      const whole: Buffer[] = [];
      for (const [i, part] of parts.entries()) {
        const frame = (lost >> i) % 2 === 0 ? receiver.add(part) : undefined;
        if (frame) whole.push(frame);
      }
      const expected = frames.filter((_, i) => ((lost >> (i * 3)) & 7) === 0);
      expect(whole.map(frame => frame.toString())).toEqual(expected.map(frame => frame.toString()));
    }
  });

  it('takes a small frame for what it is after one that broke off', () => {
    const [sender, receiver] = [new NatsFragments(), new NatsFragments()];
    const [first] = split(sender, filled(9_000, 'a'), 4_096);
    receiver.add(first as NatsPart);
    expect(receiver.add(read(Buffer.concat([head, Buffer.from('small')])))?.toString()).toBe('small');
    expect(receiver.broken).toBe(1);
  });

  it.each([
    ['another boot', partHead(node('g1', 'e2'), 7, 1)],
    ['another meeting', partHead(node('g1'), 8, 1)],
    ['another connection', partHead(node('g1'), 7, 2)],
  ])('does not go on with the frame of %s', (_what, other) => {
    const receiver = new NatsFragments();
    // Both number their frames from 1, so only what is in the head tells them apart.
    const [first] = split(new NatsFragments(), filled(8_000, 'a'), 4_096);
    const [, second] = split(new NatsFragments(), filled(8_000, 'b'), 4_096, other);
    receiver.add(first as NatsPart);
    expect(receiver.add(second as NatsPart)).toBeUndefined();
  });

  it('forgets what a sender had begun', () => {
    const [sender, receiver] = [new NatsFragments(), new NatsFragments()];
    const [first, second] = split(sender, filled(8_000, 'a'), 4_096);
    receiver.add(first as NatsPart);
    receiver.forget('g1');
    expect(receiver.add(second as NatsPart)).toBeUndefined();
    expect(receiver.broken).toBe(1);
  });

  it('reads nothing from what is no message', () => {
    for (const bytes of [
      [],
      [0],
      [16],
      [16, 0, 0, 0, 0, 0, 0, 0, 0, 9],
      [16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255],
      [16, ...head.subarray(1)],
    ]) {
      expect(readPart(Uint8Array.from(bytes))).toBeUndefined();
    }
    const part = (new NatsFragments().split(head, filled(9_000, 'x'), 4_096) as Buffer[])[1] as Buffer;
    for (let length = 0; length < head.length + 6; length++) expect(readPart(part.subarray(0, length))).toBeUndefined();
  });

  it('survives random bytes', () => {
    const receiver = new NatsFragments();
    for (let i = 0; i < 5_000; i++) {
      const bytes = Uint8Array.from({ length: i % 60 }, () => Math.floor(Math.random() * 256));
      if (i % 2 === 0) bytes[0] = 32 + (i % 8);
      const part = readPart(bytes);
      if (part) receiver.add(part);
    }
  });
});
