import { describe, expect, it, jest } from '@jest/globals';
import { BodyKind, type DecodedFrame, NO_BODY } from '@nestgate/protocol';
import { Logger } from '@nestjs/common';
import { resolveGateOptions } from '../resolve-gate-options.js';
import { Codecs, type CustomCodecs, type StreamCodec } from './codec.js';
import type { Splitter } from './stream-splitter.js';
import type { Wire } from './wire.js';

function create(custom?: CustomCodecs, options: Parameters<typeof resolveGateOptions>[0] = {}): Codecs {
  return new Codecs(resolveGateOptions(options), custom);
}

/** A codec of which every part throws. */
class BrokenWire implements Wire {
  readonly codec = 'broken';
  readonly pushesResults = true;
  readonly frame: DecodedFrame = { topic: 'a', body: NO_BODY, id: 3, checked: true, control: undefined };

  decode(): undefined {
    throw new TypeError('decode');
  }
  hello(): undefined {
    throw new TypeError('hello');
  }
  push(): undefined {
    throw new TypeError('push');
  }
  reply(): undefined {
    throw new TypeError('reply');
  }
  error(): undefined {
    throw new TypeError('error');
  }
  pong(): undefined {
    throw new TypeError('pong');
  }
}

class BrokenSplitter implements Splitter {
  push(): undefined {
    throw new TypeError('push');
  }
}

const broken: StreamCodec = { wire: new BrokenWire(), createSplitter: () => new BrokenSplitter() };

describe('Codecs', () => {
  it('has a wire for each subprotocol', () => {
    expect([...create().ws].map(([name, wire]) => [name, wire.codec, wire.pushesResults])).toEqual([
      ['gate.json', 'gate.json', false],
      ['gate.pack', 'gate.pack', true],
      ['gate.frame', 'gate.frame', false],
    ]);
  });

  it('has packs and frames for streams, without what WebSocket puts around them', () => {
    const codecs = create();
    expect(codecs.streamCodec('pack').wire.pong(0)?.toString('hex')).toBe('04000000');
    expect(codecs.streamCodec('frame').wire.pong(0)?.toString('hex')).toBe('03000000050000');
    expect(codecs.ws.get('gate.pack')?.pong(0)?.toString('hex')).toBe('820404000000');
    expect(codecs.streamCodec('frame').ping?.toString('hex')).toBe('03000000040000');
    expect(codecs.streamCodec('pack').ping).toBeUndefined();
  });

  it.each([
    ['pack', '0500010061'],
    ['frame', '0400000000010061'],
  ])('splits a stream of %ss up to the given size', (name, message) => {
    const codec = create().streamCodec(name);
    const bytes = Buffer.from(message, 'hex');
    const found: string[] = [];
    const splitter = codec.createSplitter(bytes.length, data => found.push(data.toString('hex')));
    expect(splitter.push(Buffer.concat([bytes, bytes]))).toBeUndefined();
    expect(found).toEqual([message, message]);
    expect(codec.createSplitter(bytes.length - 1, () => undefined).push(bytes)).toBe('too-large');
    expect(codec.wire.decode(bytes)).toBeUndefined();
    expect(codec.wire.frame.topic).toBe('a');
  });

  it('encrypts packs of both kinds of connection, and nothing else', () => {
    const codecs = create({}, { encryptKey: 'secret' });
    expect(codecs.streamCodec('pack').wire.pong(0)?.length).toBe(2 + 12 + 2 + 16);
    expect(codecs.ws.get('gate.pack')?.pong(0)?.length).toBe(2 + 2 + 12 + 2 + 16);
    expect(codecs.streamCodec('frame').wire.pong(0)?.toString('hex')).toBe('03000000050000');
  });

  it('refuses a codec that does not exist, and says which do', () => {
    expect(() => create({ lines: broken }).streamCodec('line')).toThrow(
      expect.objectContaining({
        code: 'BAD_ARGUMENT',
        message: 'Option tcp.codec: "line" is not allowed; allowed: pack, frame, lines',
      }),
    );
    expect(() => create().streamCodec('toString')).toThrow(/tcp\.codec/);
  });
});

describe('a codec of the application', () => {
  const errors: string[] = [];
  jest
    .spyOn(Logger.prototype, 'error')
    .mockImplementation(error => void errors.push(String(error).replace('TypeError: ', '')));

  it('that throws at what a client sends breaks with that client only', () => {
    const { wire, createSplitter } = create({ broken }).streamCodec('broken');
    errors.length = 0;
    expect(createSplitter(100, () => undefined).push(Buffer.of(1))).toBe('too-small');
    expect(wire.decode(Buffer.of(1))).toBe('VIOLATION');
    expect(errors).toEqual(['push', 'decode']);
  });

  it('that throws at what is sent to a client drops that, or answers with an error', () => {
    const { wire } = create({ broken }).streamCodec('broken');
    errors.length = 0;
    const results = [
      wire.hello('g.e.1', 1),
      wire.push('a', NO_BODY),
      wire.reply(1, NO_BODY),
      wire.error(1, { code: 'X', message: '' }, 'a'),
      wire.pong(1),
    ];
    expect(results).toEqual(Array.from({ length: 5 }, () => undefined));
    // What cannot be written as a reply is answered with an error, which this codec cannot write either.
    expect(errors).toEqual(['hello', 'push', 'reply', 'error', 'error', 'pong']);
  });

  it('is passed through otherwise', () => {
    const { wire: inner } = create().streamCodec('frame');
    const frames: string[] = [];
    const codec = create({
      mine: { wire: inner, createSplitter: create().streamCodec('frame').createSplitter, ping: Buffer.of(7) },
    }).streamCodec('mine');
    expect([codec.wire.codec, codec.wire.pushesResults, codec.ping]).toEqual(['gate.frame', false, Buffer.of(7)]);
    codec.createSplitter(100, data => frames.push(data.toString('hex'))).push(Buffer.from('0400000000010061', 'hex'));
    expect(frames).toEqual(['0400000000010061']);
    expect(codec.wire.decode(Buffer.from(frames[0] as string, 'hex'))).toBeUndefined();
    expect(codec.wire.frame).toBe(inner.frame);
    const body = { kind: BodyKind.bytes, bytes: Buffer.from('hi') };
    expect(codec.wire.push('a', body)).toEqual(inner.push('a', body));
    expect(codec.wire.reply(7, body)).toEqual(inner.reply(7, body));
    expect(codec.wire.hello('g.e.1', 5)).toEqual(inner.hello('g.e.1', 5));
    expect(codec.wire.pong(0)).toEqual(inner.pong(0));
  });
});
