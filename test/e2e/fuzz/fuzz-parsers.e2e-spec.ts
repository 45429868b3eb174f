import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { BodyKind } from '@nestgate/protocol';
import fc from 'fast-check';
import { FrameWire } from '../../../libs/gate/src/codec/frame-wire.js';
import { STREAM_FRAMING } from '../../../libs/gate/src/codec/framing.js';
import { createPackCipher, type EncryptMode } from '../../../libs/gate/src/codec/pack-cipher.js';
import { PackWire } from '../../../libs/gate/src/codec/pack-wire.js';
import { FRAME_STREAM, PACK_STREAM, StreamSplitter } from '../../../libs/gate/src/codec/stream-splitter.js';
import type { Wire } from '../../../libs/gate/src/codec/wire.js';
import {
  latin1,
  type Layout,
  LAYOUTS,
  MAX_BYTES,
  type Outcome,
  packMeaning,
  packOutcome,
  parts,
  streamOutcome,
  u16,
} from './support/fuzz-binary-model.js';
import { cuts, cutUp, fuzz, fuzzTimeout, mutated, randomBytes } from './support/fuzz-support.js';

const SHARE = 1.5;
/** What a wire makes of a message. */
function decode(wire: Wire, message: Buffer): Outcome {
  const fault = wire.decode(message);
  if (fault) return fault;
  const { control, stream, topic, body, target = 0 } = wire.frame;
  expect(body.kind).toBe(BodyKind.bytes);
  const id = control === 'cancel' || control === 'answer' ? target : wire.frame.id;
  return [control ?? (stream ? 'stream' : 'message'), id, topic, latin1(Buffer.from(body.bytes))];
}

const WIRES: Readonly<Record<Layout['codec'], Wire>> = {
  pack: new PackWire(STREAM_FRAMING, undefined),
  frame: new FrameWire(STREAM_FRAMING),
};

function splitAndDecode({ codec }: Layout, pieces: readonly Buffer[]): unknown[] {
  const outcomes: unknown[] = [];
  const layout = codec === 'pack' ? PACK_STREAM : FRAME_STREAM;
  const splitter = new StreamSplitter(layout, MAX_BYTES, message => outcomes.push(decode(WIRES[codec], message)));
  for (const piece of pieces) {
    const fault = splitter.push(piece);
    if (fault) return [...outcomes, fault];
  }
  return outcomes;
}

function same(actual: unknown, wanted: unknown): void {
  if (!isDeepStrictEqual(actual, wanted)) expect(actual).toEqual(wanted);
}

describe.each(LAYOUTS)('a fuzzed stream of gate.$codec', layout => {
  it(
    'is cut and read as the wire says, however it arrives',
    () =>
      fuzz({
        name: `streams of gate.${layout.codec}`,
        inputs: fc.tuple(
          fc.oneof(
            {
              weight: 5,
              arbitrary: mutated(fc.array(layout.message, { maxLength: 6 }).map(each => Buffer.concat(each))),
            },
            { weight: 1, arbitrary: randomBytes },
          ),
          cuts,
        ),
        share: SHARE,
        minRuns: 500,
        check: ([stream, at]) => same(splitAndDecode(layout, cutUp(stream, at)), streamOutcome(stream, layout)),
      }),
    fuzzTimeout(SHARE),
  );
});

const KEY = '0123456789abcdef';

describe.each<EncryptMode>(['aes-256-gcm', 'river-cbc'])('a fuzzed pack under %s', mode => {
  const cipher = createPackCipher(KEY, mode);
  const wire = new PackWire(STREAM_FRAMING, cipher);

  function sealed(content: Buffer): Buffer {
    const bytes = cipher.seal(content);
    return Buffer.concat([u16(bytes.length + 2), bytes]);
  }

  it(
    'is what was sealed, or no pack',
    () =>
      fuzz({
        name: `packs under ${mode}`,
        inputs: fc.tuple(parts, mutated(fc.constant(Buffer.alloc(0)), 1), fc.nat(), fc.nat(255)),
        share: SHARE / 2,
        minRuns: 200,
        check: ([content, more, at, xor]) => {
          const whole = sealed(content);
          same(decode(wire, whole), packMeaning(packOutcome(content)));
          const changed = Buffer.concat([whole, more]);
          const place = at % changed.length;
          changed[place] = (changed[place] as number) ^ xor;
          // The length is told again, so that it is the cipher that has to say no.
          if (place > 1) changed.writeUInt16LE(changed.length);
          const outcome = decode(wire, changed);
          if (changed.equals(whole)) return;
          // Nothing protects what the old scheme has sealed: it may say something else then, but it is a message or none.
          if (mode === 'aes-256-gcm') same(outcome, 'VIOLATION');
        },
      }),
    fuzzTimeout(SHARE),
  );

  it(
    'of random bytes is no pack, or what they say',
    () =>
      fuzz({
        name: `random packs under ${mode}`,
        inputs: randomBytes,
        share: SHARE / 2,
        minRuns: 200,
        check: bytes => {
          const outcome = decode(wire, Buffer.concat([u16(bytes.length + 2), bytes]));
          if (mode === 'aes-256-gcm') same(outcome, 'VIOLATION');
        },
      }),
    fuzzTimeout(SHARE),
  );
});
