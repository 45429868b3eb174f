import { nest } from './bad-input-json-cases.js';

type Network = 'ws' | 'tcp';

/** What a binary client sends first. */
export interface PackCase {
  readonly what: string;
  readonly codec: 'pack' | 'frame';
  readonly network: Network;
  /** One message, or several. */
  readonly bytes: Buffer | readonly Buffer[];
  /** What the gate closes with and counts, or answers with and counts. */
  readonly code: string | number;
}

const u16 = (value: number): Buffer => Buffer.of(value & 0xff, value >> 8);
const u32 = (value: number): Buffer => Buffer.concat([u16(value & 0xffff), u16(value >>> 16)]);
const content = (topic: string, body: string | Uint8Array): Buffer =>
  Buffer.concat([u16(Buffer.byteLength(topic)), Buffer.from(topic), Buffer.from(body as string)]);

function pack(topic: string, body: string | Uint8Array = ''): Buffer {
  const parts = content(topic, body);
  return Buffer.concat([u16(parts.length + 2), parts]);
}

function frame(kind: number, id: number, topic: string, body: string | Uint8Array = ''): Buffer {
  const head = kind >= 1 && kind <= 3 ? Buffer.concat([Buffer.of(kind), u32(id)]) : Buffer.of(kind);
  const parts = Buffer.concat([head, content(topic, body)]);
  return Buffer.concat([u32(parts.length), parts]);
}

type Row = readonly [
  what: string,
  bytes: string | PackCase['bytes'],
  code: string | number,
  networks?: readonly Network[],
];
const BOTH = ['ws', 'tcp'] as const;
const WS = ['ws'] as const;

/** The listener of the test speaks packs: frames come over WebSocket only. */
function cases(codec: 'pack' | 'frame', rows: readonly Row[]): PackCase[] {
  return rows.flatMap(([what, bytes, code, networks = codec === 'pack' ? BOTH : WS]) =>
    networks.map(network => ({
      what: `gate.${codec} over ${network}: ${what}`,
      codec,
      network,
      bytes: typeof bytes === 'string' ? Buffer.from(bytes, 'hex') : bytes,
      code,
    })),
  );
}

/** After these nobody knows where the next message begins: the connection is closed. */
export const BROKEN_PACKS: readonly PackCase[] = [
  ...cases('pack', [
    ['a length of 0', '0000', 1002],
    ['a length of 1', '010000', 1002],
    ['a length of 2', '0200', 1002],
    ['half of a topic length', '030001', 1002],
    ['a topic longer than the pack', '07000400612f62', 1002],
    ['a topic of 65,535 bytes', '0700ffff612f62', 1002],
    ['one that is cut off', pack('echo/echo', 'never whole').subarray(0, -1), 1002, WS],
    ['one that is cut off, and silence', pack('echo/echo', 'never whole').subarray(0, -1), 4003, ['tcp']],
    ['half of a length, and silence', '05', 4003, ['tcp']],
    ['more than it says', Buffer.concat([pack('a/b'), pack('a/b')]), 1002, WS],
    ['65,536 bytes', Buffer.alloc(65_536, 1), 1009, WS],
  ]),
  ...cases('frame', [
    ['a length of 0', '00000000', 1002],
    ['a length of 2^16', '0000010000', 1002],
    ['a length of 2^32-1', 'ffffffff00', 1002],
    ['a request that ends in its id', '0400000001070000', 1002],
    ['a topic longer than the frame', '0400000000020061', 1002],
    ['one that is cut off', frame(0, 0, 'echo/echo', 'never whole').subarray(0, -1), 1002],
    ['65,536 bytes', Buffer.alloc(65_536, 1), 1009],
  ]),
];

const LOGIN_NUMBER = '{"name":7}';
const LOGIN_OBJECT = '{"name":{"toString":"ada"}}';
const DEEP = `{"name":"ada","more":${nest(10_000)}}`;

const TWICE = [frame(1, 7, 'echo/slow', '{"ms":400}'), frame(1, 7, 'echo/echo')];

/** These are whole, and answered with an error. */
export const BAD_PACKS: readonly PackCase[] = [
  ...cases('pack', [
    ['a topic against the grammar', pack('echo/*'), 'BAD_TOPIC'],
    ['a topic that is no ASCII', pack('échange/echo'), 'BAD_TOPIC'],
    ['a topic of NULs', pack('\0\0'), 'BAD_TOPIC'],
    ['no topic, and a body', pack('', 'body'), 'BAD_TOPIC'],
    ['a topic of the gate', pack('$gate/hello'), 'BAD_TOPIC'],
    ['nobody to handle it', pack('nowhere/x'), 'NO_ROUTE'],
    ['a body that is no JSON where an object is wanted', pack('chat/login', 'ada'), 'BAD_REQUEST'],
    ['a body that is no UTF-8 there', pack('chat/login', Buffer.from('7b22c328227d', 'hex')), 'BAD_REQUEST'],
    ['a body of the wrong type', pack('chat/login', LOGIN_NUMBER), 'BAD_REQUEST'],
    ['an object where a text belongs', pack('chat/login', LOGIN_OBJECT), 'BAD_REQUEST'],
    ['names of objects as keys', pack('chat/login', '{"__proto__":{"name":"ada"}}'), 'BAD_REQUEST'],
    ['another one of them', pack('chat/login', '{"constructor":{"prototype":{"name":"ada"}}}'), 'BAD_REQUEST'],
    ['a body that nests 10,000 deep', pack('chat/login', DEEP), 'BAD_REQUEST'],
  ]),
  ...cases('frame', [
    ['an unknown kind', frame(7, 0, 'echo/echo'), 'BAD_FRAME'],
    ['the kind 255', frame(255, 0, 'echo/echo'), 'BAD_FRAME'],
    ['a reply', frame(2, 1, ''), 'BAD_FRAME'],
    ['an error', frame(3, 1, '', '{}'), 'BAD_FRAME'],
    ['a hello', frame(6, 0, '', '{}'), 'BAD_FRAME'],
    ['the id 0', frame(1, 0, 'echo/echo'), 'BAD_FRAME'],
    ['a ping with a topic', frame(4, 0, 'echo/echo'), 'BAD_FRAME'],
    ['a topic against the grammar', frame(1, 1, 'echo/*'), 'BAD_TOPIC'],
    ['nobody to handle it', frame(1, 1, 'nowhere/x'), 'NO_ROUTE'],
    ['no handler', frame(1, 2 ** 32 - 1, 'echo/nope'), 'NO_HANDLER'],
    ['an id twice', TWICE, 'DUPLICATE_ID'],
    ['a body that is no JSON where an object is wanted', frame(1, 1, 'chat/login', '{"name":'), 'BAD_REQUEST'],
    ['a body that nests 10,000 deep', frame(1, 1, 'chat/login', DEEP), 'BAD_REQUEST'],
  ]),
];
