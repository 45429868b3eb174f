import { deflateRawSync } from 'node:zlib';
import { closeFrame, fragments, OP, textFrame, wsFrame } from '../../support/raw-websocket.js';

/** Largest message of a gate that is not told otherwise. */
export const MAX = 65_535;
/** A message without a body. */
export const NOTHING = '{"topic":"echo/echo"}';
const FOX = Buffer.from('🦊');

/** An echo request of so many bytes. */
export function echoOf(size: number, id = 1): string {
  const head = `{"topic":"echo/echo","id":${id},"body":"`;
  return `${head}${'x'.repeat(size - head.length - 2)}"}`;
}

/** A text in frames of so many bytes. */
export function cut(text: string, size: number): Buffer {
  const data = Buffer.from(text);
  const parts = Array.from({ length: Math.ceil(data.length / size) }, (_, i) =>
    data.subarray(i * size, (i + 1) * size),
  );
  return fragments(...parts);
}

/** Two halves of a request. */
export const FIRST = wsFrame({ fin: false, payload: '{"topic":' });
export const REST = wsFrame({ opcode: OP.continuation, payload: '"echo/echo","id":1}' });
/** One byte more than a control frame may have. */
export const LONG = 'p'.repeat(126);
const MANY = (count: number): string[] => Array.from({ length: count }, () => '');

/** Bytes of a client, and the code that the gate closes with. */
export type FrameCase = readonly [name: string, code: number, bytes: Uint8Array];

/** What breaks the WebSocket protocol, or what this gate allows of it. */
export const VIOLATIONS: readonly FrameCase[] = [
  ['an unmasked frame', 1002, wsFrame({ masked: false, payload: NOTHING })],
  ['an unmasked close', 1002, wsFrame({ masked: false, opcode: OP.close })],
  ['RSV1', 1002, wsFrame({ rsv: 4, payload: NOTHING })],
  ['RSV2', 1002, wsFrame({ rsv: 2, payload: NOTHING })],
  ['RSV3', 1002, wsFrame({ rsv: 1, payload: NOTHING })],
  ['a deflate bomb', 1002, wsFrame({ rsv: 4, payload: deflateRawSync(Buffer.alloc(16 * 1024 * 1024, ' ')) })],
  ['RSV1 on a ping', 1002, wsFrame({ rsv: 4, opcode: OP.ping })],
  ['RSV1 on a continuation', 1002, Buffer.concat([FIRST, wsFrame({ rsv: 4, opcode: OP.continuation })])],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode): FrameCase => [
    `opcode ${opcode}`,
    1002,
    wsFrame({ opcode, payload: NOTHING }),
  ]),
  ['a ping of 126 bytes', 1002, wsFrame({ opcode: OP.ping, payload: LONG })],
  ['a pong of 126 bytes', 1002, wsFrame({ opcode: OP.pong, payload: LONG })],
  ['a close of 126 bytes', 1002, closeFrame(1000, LONG.slice(2))],
  ['a fragmented ping', 1002, wsFrame({ opcode: OP.ping, fin: false })],
  ['a fragmented close', 1002, wsFrame({ opcode: OP.close, fin: false })],
  ['a stray continuation', 1002, wsFrame({ opcode: OP.continuation, payload: NOTHING })],
  ['a continuation after the last', 1002, Buffer.concat([FIRST, REST, REST])],
  ['a new text inside a message', 1002, Buffer.concat([FIRST, textFrame(NOTHING)])],
  ['a new binary inside a message', 1002, Buffer.concat([FIRST, wsFrame({ opcode: OP.binary })])],
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535].map((code): FrameCase => [
    `close code ${code}`,
    1002,
    closeFrame(code),
  ]),
  ['a close of 1 byte', 1002, wsFrame({ opcode: OP.close, payload: Buffer.of(3) })],

  ['bad UTF-8', 1007, wsFrame({ payload: Buffer.from('7b22c328227d', 'hex') })],
  ['an encoded surrogate', 1007, wsFrame({ payload: Buffer.from('22eda08022', 'hex') })],
  ['an overlong slash', 1007, wsFrame({ payload: Buffer.from('22c0af22', 'hex') })],
  ['a code point over U+10FFFF', 1007, wsFrame({ payload: Buffer.from('22f490808022', 'hex') })],
  ['UTF-8 that is cut at the end', 1007, wsFrame({ payload: Buffer.concat([Buffer.from('"'), FOX.subarray(0, 3)]) })],
  ['UTF-8 that is cut at the last fragment', 1007, fragments('"', FOX.subarray(0, 2), FOX.subarray(2, 3))],
  ['bad UTF-8 in a close reason', 1007, closeFrame(1000, Buffer.of(0xc3, 0x28))],

  ['65,536 bytes', 1009, textFrame(echoOf(MAX + 1))],
  ['65,536 bytes in fragments', 1009, cut(echoOf(MAX + 1), 8_192)],
  ['a claim of 65,536 bytes', 1009, wsFrame({ claim: BigInt(MAX + 1) })],
  ['a claim of 2^31', 1009, wsFrame({ claim: 2n ** 31n })],
  ['a claim of 2^40', 1009, wsFrame({ claim: 2n ** 40n })],
  ['a claim of 2^53', 1009, wsFrame({ claim: 2n ** 53n })],
  ['a claim of 2^63', 1009, wsFrame({ claim: 2n ** 63n })],
  ['a claim of 2^64 - 1', 1009, wsFrame({ claim: 2n ** 64n - 1n })],

  ['65 fragments', 1008, cut(echoOf(65), 1)],
  ['5,000 empty fragments', 1008, fragments(...MANY(5_000))],
  ['5,000 pings', 1008, Buffer.concat(Array.from({ length: 5_000 }, () => wsFrame({ opcode: OP.ping, payload: 'p' })))],

  ['a binary frame', 1003, wsFrame({ opcode: OP.binary, payload: NOTHING })],
  ['an empty binary frame', 1003, wsFrame({ opcode: OP.binary })],
];
