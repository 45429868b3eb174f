import { describe, expect, it } from '@jest/globals';
import { type Body, BodyKind, NO_BODY } from '@nestgate/protocol';
import { BINARY_WS_FRAMING, STREAM_FRAMING } from './framing.js';
import { createPackCipher } from './pack-cipher.js';
import { PackWire } from './pack-wire.js';

const wire = new PackWire(STREAM_FRAMING, undefined);

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

/** Bytes as they are written above. */
function shown(bytes: Uint8Array | undefined): string | undefined {
  return (
    bytes &&
    Buffer.from(bytes)
      .toString('hex')
      .replaceAll(/..(?=.)/g, '$& ')
  );
}

function bytes(content: string | Uint8Array): Body {
  return { kind: BodyKind.bytes, bytes: Buffer.from(content) };
}

function json(value: unknown): Body {
  return { kind: BodyKind.json, bytes: Buffer.from(JSON.stringify(value)) };
}

/** What a pack of an error says. */
function errorIn(pack: Buffer | undefined): unknown {
  expect(wire.decode(pack as Buffer)).toBe('BAD_TOPIC');
  expect(wire.frame.topic).toBe('$gate/error');
  return JSON.parse(Buffer.from(wire.frame.body.bytes).toString());
}

describe('PackWire reads', () => {
  it.each([
    ['09 00 03 00 61 2f 62 68 69', 'a/b', '68 69'],
    ['07 00 03 00 61 2f 62', 'a/b', ''],
    ['05 00 01 00 61', 'a', ''],
    ['0a 00 01 00 61 00 01 7f 80 ff', 'a', '00 01 7f 80 ff'],
    // The body has the looks of a pack; nobody should look.
    ['09 00 01 00 61 04 00 00 00', 'a', '04 00 00 00'],
  ])('%s', (pack, topic, body) => {
    expect(wire.decode(hex(pack))).toBeUndefined();
    const { frame } = wire;
    expect([frame.topic, frame.id, frame.control, frame.body.kind]).toEqual([topic, 0, undefined, BodyKind.bytes]);
    expect(shown(frame.body.bytes)).toBe(body);
  });

  it('04 00 00 00 as a heartbeat, and what follows as a message again', () => {
    expect(wire.decode(hex('04 00 00 00'))).toBeUndefined();
    expect(wire.frame.control).toBe('ping');
    expect(wire.decode(hex('05 00 01 00 61'))).toBeUndefined();
    expect(wire.frame.control).toBeUndefined();
  });

  it('the largest pack there can be', () => {
    const pack = Buffer.concat([hex('ff ff 03 00 61 2f 62'), Buffer.alloc(65_528, 0x5a)]);
    expect(wire.decode(pack)).toBeUndefined();
    expect(Buffer.from(wire.frame.body.bytes).equals(pack.subarray(7))).toBe(true);
  });

  it.each([
    ['an empty frame', ''],
    ['one byte', '01'],
    ['a total of 0', '00 00'],
    ['a total of 1', '01 00 00'],
    ['a total alone', '02 00'],
    ['half of a topic length', '03 00 01'],
    ['a total below what is there', '08 00 03 00 61 2f 62 68 69'],
    ['a total above what is there', '0a 00 03 00 61 2f 62 68 69'],
    ['a big-endian total', '00 09 03 00 61 2f 62 68 69'],
    ['a topic longer than the pack', '07 00 04 00 61 2f 62'],
    ['a topic of 65,535 bytes', '07 00 ff ff 61 2f 62'],
  ])('%s as broken', (_what, pack) => {
    expect(wire.decode(hex(pack))).toBe('VIOLATION');
  });

  it('two packs in one frame as broken', () => {
    expect(wire.decode(hex('05 00 01 00 61 05 00 01 00 61'))).toBe('VIOLATION');
  });

  it('a pack of 65,536 bytes, whose total cannot be said, as broken', () => {
    expect(wire.decode(Buffer.concat([hex('00 00 01 00 61'), Buffer.alloc(65_531)]))).toBe('VIOLATION');
  });

  it.each([
    ['no topic but a body', '05 00 00 00 ff'],
    ['an empty segment', '07 00 03 00 61 2f 2f'],
    ['a space', '07 00 03 00 61 20 62'],
    ['a NUL', '07 00 03 00 61 00 62'],
    ['an asterisk', '07 00 03 00 61 2f 2a'],
    ['UTF-8', '08 00 04 00 61 2f c3 a9'],
    ['a topic of the gate', '0e 00 0a 00 24 67 61 74 65 2f 70 69 6e 67'],
  ])('a topic with %s as not allowed', (_what, pack) => {
    expect(wire.decode(hex(pack))).toBe('BAD_TOPIC');
    expect([wire.frame.id, wire.frame.control]).toEqual([0, undefined]);
  });
});

describe('PackWire writes', () => {
  it('pushes', () => {
    expect(shown(wire.push('a/b', bytes('hi')))).toBe('09 00 03 00 61 2f 62 68 69');
    expect(shown(wire.push('a/b', json({ é: 1 })))).toBe('0f 00 03 00 61 2f 62 7b 22 c3 a9 22 3a 31 7d');
    expect(shown(wire.push('a/b', NO_BODY))).toBe('07 00 03 00 61 2f 62');
  });

  it('heartbeats', () => {
    expect(shown(wire.pong())).toBe('04 00 00 00');
  });

  it('no hello', () => {
    expect(wire.hello()).toBeUndefined();
  });

  it('the bytes of a view, and only those', () => {
    const view = new Uint8Array([9, 0, 255, 9]).subarray(1, 3);
    expect(shown(wire.push('a', { kind: BodyKind.bytes, bytes: view }))).toBe('07 00 01 00 61 00 ff');
  });

  it('each pack as a binary WebSocket frame of its own', () => {
    const ws = new PackWire(BINARY_WS_FRAMING, undefined);
    expect(shown(ws.push('a/b', bytes('hi')))).toBe('82 09 09 00 03 00 61 2f 62 68 69');
    expect(shown(ws.pong())).toBe('82 04 04 00 00 00');
    expect(shown(ws.push('a', bytes(Buffer.alloc(121)))?.subarray(0, 9))).toBe('82 7e 00 7e 7e 00 01 00 61');
    expect(shown(ws.push('a', bytes(Buffer.alloc(65_530)))?.subarray(0, 9))).toBe('82 7e ff ff ff ff 01 00 61');
  });

  it('65,535 bytes, and nothing larger', () => {
    expect(wire.push('a', bytes(Buffer.alloc(65_530)))?.length).toBe(65_535);
    expect(wire.push('a', bytes(Buffer.alloc(65_531)))).toBeUndefined();
    const cipher = createPackCipher('secret', 'aes-256-gcm');
    const sealed = new PackWire(STREAM_FRAMING, cipher);
    expect(sealed.push('a', bytes(Buffer.alloc(65_502)))?.length).toBe(65_535);
    expect(sealed.push('a', bytes(Buffer.alloc(65_503)))).toBeUndefined();
  });

  it('errors as a push with code, message, topic and details', () => {
    const error = { code: 'BAD_REQUEST', message: 'no "x"', details: ['x'] };
    expect(errorIn(wire.error(0, error, 'a/b'))).toEqual({ ...error, topic: 'a/b' });
    expect(errorIn(wire.error(0, { code: 'X', message: '' }, undefined))).toEqual({ code: 'X', message: '' });
  });

  it('the topic of an error as the text that was meant', () => {
    wire.decode(hex('08 00 04 00 61 2f c3 a9'));
    expect(errorIn(wire.error(0, { code: 'X', message: '' }, wire.frame.topic))).toMatchObject({ topic: 'a/é' });
  });

  it('an error also when what it is about has no room in it', () => {
    for (const topic of ['x'.repeat(65_500), '\0'.repeat(65_000), '\u00ff'.repeat(65_000)]) {
      const { code, topic: shortened } = errorIn(wire.error(0, { code: 'BAD_TOPIC', message: 'no' }, topic)) as {
        code: string;
        topic: string;
      };
      expect(code).toBe('BAD_TOPIC');
      expect(shortened.length).toBe(1_000);
    }
    const message = 'm'.repeat(70_000);
    expect(errorIn(wire.error(0, { code: 'X', message, details: [message] }, 'a/b'))).toEqual({
      code: 'X',
      message: message.slice(0, 1_000),
      topic: 'a/b',
    });
  });
});

describe('PackWire with a cipher', () => {
  const sealed = new PackWire(STREAM_FRAMING, createPackCipher('secret', 'aes-256-gcm'));

  it('encrypts everything behind the total', () => {
    const pack = sealed.push('a/b', bytes('hi')) as Buffer;
    expect(pack.length).toBe(2 + 12 + 7 + 16);
    expect(pack.readUInt16LE(0)).toBe(pack.length);
    expect(pack.includes('a/b')).toBe(false);
    expect(sealed.decode(pack)).toBeUndefined();
    expect([sealed.frame.topic, shown(sealed.frame.body.bytes)]).toEqual(['a/b', '68 69']);
  });

  it('takes an encrypted heartbeat, and answers with one', () => {
    expect(sealed.decode(sealed.pong() as Buffer)).toBeUndefined();
    expect(sealed.frame.control).toBe('ping');
  });

  it('takes nothing that is plain, shortened, changed or of another key', () => {
    const pack = sealed.push('a/b', bytes('hi')) as Buffer;
    const other = new PackWire(STREAM_FRAMING, createPackCipher('Secret', 'aes-256-gcm'));
    expect(sealed.decode(hex('04 00 00 00'))).toBe('VIOLATION');
    expect(sealed.decode(hex('09 00 03 00 61 2f 62 68 69'))).toBe('VIOLATION');
    expect(sealed.decode(other.push('a/b', bytes('hi')) as Buffer)).toBe('VIOLATION');
    for (let at = 0; at < pack.length; at++) {
      const changed = Buffer.from(pack);
      changed[at] = (changed[at] as number) ^ 1;
      expect([at, sealed.decode(changed)]).toEqual([at, 'VIOLATION']);
    }
  });
});
