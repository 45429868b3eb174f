import type { RawRequest } from '../../support/raw-socket.js';
import { closeFrame, fragments, OP, textFrame, wsFrame } from '../../support/raw-websocket.js';

const KEY = 'Sec-WebSocket-Key';
const VERSION = 'Sec-WebSocket-Version';
const PROTOCOL = 'Sec-WebSocket-Protocol';
const EXTENSIONS = 'Sec-WebSocket-Extensions';

/** A request for an upgrade, its status, and headers that the answer must have, or, with `undefined`, must not have. */
export type HandshakeCase = readonly [
  section: string,
  name: string,
  request: RawRequest,
  status: number,
  headers?: Readonly<Record<string, string | undefined>>,
];

/** Sections are of RFC 6455, unless they say otherwise. */
export const HANDSHAKES: readonly HandshakeCase[] = [
  ['1.3', 'the example key', {}, 101, { 'sec-websocket-accept': 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=' }],
  ['4.2.2', 'what is answered', {}, 101, { upgrade: 'websocket', connection: 'Upgrade' }],
  ['4.1', 'a query', { path: '/gate?a=b&c' }, 101],
  ['4.1', 'an empty query', { path: '/gate?' }, 101],
  ['4.1', 'a slash at the end', { path: '/gate/' }, 101],
  ['4.2.1', 'the host in the target', { path: 'http://gate.test/gate' }, 101],
  ['RFC 9112 3.2.2', 'the host in the target, with a port and a query', { path: 'http://gate.test:80/gate?a' }, 101],
  ['RFC 9112 3.2.2', 'the host in the target, https', { path: 'https://gate.test/gate' }, 101],
  ['RFC 9112 3.2.2', 'another host in the target', { path: 'http://other.test/gate' }, 101],
  ['RFC 9112 3.2.2', 'the host in the target, no path', { path: 'http://gate.test' }, 404],
  ['RFC 9112 3.2.2', 'the host in the target, another path', { path: 'http://gate.test/other' }, 404],
  ['RFC 9112 3.2.2', 'the path in the host', { path: 'http://gate/' }, 404],
  ['4.2.1', 'another path', { path: '/other' }, 404],
  ['4.2.1', 'an asterisk', { path: '*' }, 404],
  ['4.2.1', 'GET in HTTP/1.0', { version: '1.0' }, 400],
  ['4.2.1', 'POST', { method: 'POST' }, 400],
  ['4.2.1', 'HEAD', { method: 'HEAD' }, 400],
  ['4.2.1', 'OPTIONS', { method: 'OPTIONS' }, 400],
  ['4.2.1', 'no Host', { headers: { Host: undefined } }, 400],
  ['4.2.1', 'two Hosts', { headers: { Host: ['a', 'b'] } }, 400],
  ['4.2.1', 'Upgrade in other case', { headers: { Upgrade: 'WebSocket' } }, 101],
  ['4.2.1', 'another Upgrade', { headers: { Upgrade: 'h2c' } }, 400],
  ['4.2.1', 'Connection in other case', { headers: { Connection: 'upgrade' } }, 101],
  ['4.2.1', 'Connection with more tokens', { headers: { Connection: 'keep-alive, Upgrade' } }, 101],
  ['4.2.1', 'Connection in two headers', { headers: { Connection: ['keep-alive', 'Upgrade'] } }, 101],
  ['4.2.1', 'Connection without upgrade', { headers: { Connection: 'keep-alive' } }, 400],
  ['4.2.1', 'no key', { headers: { [KEY]: undefined } }, 400],
  ['4.2.1', 'an empty key', { headers: { [KEY]: '' } }, 400],
  ['4.2.1', 'a key of 15 bytes', { headers: { [KEY]: 'AAAAAAAAAAAAAAAAAAAA' } }, 400],
  ['4.2.1', 'a key of 17 bytes', { headers: { [KEY]: 'AAAAAAAAAAAAAAAAAAAAAAA=' } }, 400],
  ['4.2.1', 'a key that is not base64', { headers: { [KEY]: '??????????????????????==' } }, 400],
  ['11.3.1', 'two keys', { headers: { [KEY]: Array.from({ length: 2 }, () => 'dGhlIHNhbXBsZSBub25jZQ==') } }, 400],
  ...['0', '7', '8', '12', '14', '255', '-13', '013', '1.3', 'thirteen', '', '13, 8', '8, 13'].map(
    (version): HandshakeCase => [
      '4.2.2',
      `version ${JSON.stringify(version)}`,
      { headers: { [VERSION]: version } },
      426,
      { 'sec-websocket-version': '13', upgrade: 'websocket', connection: 'Upgrade, close' },
    ],
  ),
  ['4.2.2', 'no version', { headers: { [VERSION]: undefined } }, 426, { 'sec-websocket-version': '13' }],
  ['11.3.5', 'two versions', { headers: { [VERSION]: ['13', '13'] } }, 426, { 'sec-websocket-version': '13' }],
  ['4.2.1', 'a version with spaces around it', { headers: { [VERSION]: ' 13 ' } }, 101],
  ['4.1', 'a body of a known length', { headers: { 'Content-Length': '5' } }, 400],
  ['4.1', 'a body of length 0', { headers: { 'Content-Length': '0' } }, 101],
  ['4.1', 'a chunked body', { headers: { 'Transfer-Encoding': 'chunked' } }, 400],
  ['4.2.2', 'no subprotocol', {}, 101, { 'sec-websocket-protocol': undefined }],
  ['4.2.2', 'a subprotocol', { headers: { [PROTOCOL]: 'gate.json' } }, 101, { 'sec-websocket-protocol': 'gate.json' }],
  ['4.2.2', 'two', { headers: { [PROTOCOL]: 'x, gate.json' } }, 101, { 'sec-websocket-protocol': 'gate.json' }],
  [
    '11.3.4',
    'in two headers',
    { headers: { [PROTOCOL]: ['x', 'gate.json'] } },
    101,
    { 'sec-websocket-protocol': 'gate.json' },
  ],
  ['4.1', 'a subprotocol twice', { headers: { [PROTOCOL]: 'gate.json, gate.json' } }, 400],
  ['4.1', 'an empty subprotocol', { headers: { [PROTOCOL]: '' } }, 400],
  ['4.1', 'a subprotocol that is no token', { headers: { [PROTOCOL]: 'gate json' } }, 400],
  [
    '9.1',
    'an extension',
    { headers: { [EXTENSIONS]: 'permessage-deflate' } },
    101,
    { 'sec-websocket-extensions': undefined },
  ],
  [
    '9.1',
    'an unknown extension',
    { headers: { [EXTENSIONS]: 'x-y; z=1' } },
    101,
    { 'sec-websocket-extensions': undefined },
  ],
  ['10.2', 'a foreign origin', { headers: { Origin: 'https://evil.example' } }, 403],
  ['10.2', 'the own origin', { headers: { Origin: 'https://gate.test' } }, 101],
  [
    'RFC 9112 3.2.2',
    'the origin of the target',
    { path: 'http://a.test/gate', headers: { Origin: 'http://a.test' } },
    101,
  ],
  [
    'RFC 9112 3.2.2',
    'the origin of Host only',
    { path: 'http://a.test/gate', headers: { Origin: 'http://gate.test' } },
    403,
  ],
  ['RFC 9112 5.1', 'a space before the colon', { headers: { 'X-Odd ': '1' } }, 400],
  ['RFC 9112 6.3', 'two lengths', { headers: { 'Content-Length': ['0', '1'] } }, 400],
];

/** What a client sends, and the close code that it gets; `'answered'`: the connection goes on. */
export type FrameCase = readonly [section: string, name: string, bytes: Uint8Array, outcome: number | 'answered'];

const echo = (body: string): string => `{"topic":"echo/echo","body":${JSON.stringify(body)},"id":5}`;
const bytes = (...list: readonly number[]): Buffer => Buffer.from(list);
const pingOf = (payload: string, rest = {}): Buffer => wsFrame({ opcode: OP.ping, payload, ...rest });
const join = (...list: readonly Uint8Array[]): Buffer => Buffer.concat(list);

export const FRAMES: readonly FrameCase[] = [
  ['5.1', 'a text that is not masked', wsFrame({ masked: false, payload: echo('x') }), 1002],
  ['5.1', 'a ping that is not masked', pingOf('x', { masked: false }), 1002],
  ['5.1', 'a close that is not masked', wsFrame({ opcode: OP.close, masked: false }), 1002],
  ...[1, 2, 3, 4, 5, 6, 7].map((rsv): FrameCase => [
    '5.2',
    `reserved bits ${rsv} of a text`,
    wsFrame({ rsv, payload: echo('x') }),
    1002,
  ]),
  ...[1, 2, 4].map((rsv): FrameCase => ['5.2', `reserved bit ${rsv} of a ping`, pingOf('', { rsv }), 1002]),
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode): FrameCase => [
    '5.2',
    `the reserved opcode ${opcode}`,
    wsFrame({ opcode, payload: 'x' }),
    1002,
  ]),
  ['5.2', 'a length of 125', textFrame(echo('x'.repeat(86))), 'answered'],
  ['5.2', 'a length of 126', textFrame(echo('x'.repeat(87))), 'answered'],
  ['5.2', 'a length of 65,535', textFrame(echo('x'.repeat(65_535 - 39))), 'answered'],
  ...(
    [
      ['125 in 16 bits', echo('x'.repeat(86)), 16],
      ['39 in 16 bits', echo(''), 16],
      ['39 in 64 bits', echo(''), 64],
      ['126 in 64 bits', echo('x'.repeat(87)), 64],
      ['65,535 in 64 bits', echo('x'.repeat(65_535 - 39)), 64],
    ] as const
  ).map(([name, payload, lengthBits]): FrameCase => [
    '5.2',
    `a length of ${name}`,
    wsFrame({ payload, lengthBits }),
    1002,
  ]),
  ['5.2', 'a length of 0 in 16 bits', wsFrame({ lengthBits: 16 }), 1002],
  [
    '5.2',
    'a length that is longer than needed, of a last fragment',
    join(
      wsFrame({ fin: false, payload: echo('x').slice(0, 9) }),
      wsFrame({ opcode: OP.continuation, payload: echo('x').slice(9), lengthBits: 16 }),
    ),
    1002,
  ],
  ['5.2', 'a length that is longer than needed, of a ping', pingOf('x', { lengthBits: 16 }), 1002],
  ['5.2', 'a length of 64 bits with the first one set', wsFrame({ claim: 2n ** 63n }), 1009],
  ['5.2', 'a text in one byte each', fragments(...echo('ab').split('')), 'answered'],
  ['5.4', 'a message in two frames', fragments(echo('x').slice(0, 9), echo('x').slice(9)), 'answered'],
  ['5.4', 'a message in three frames', fragments(echo('x').slice(0, 9), '', echo('x').slice(9)), 'answered'],
  [
    '5.4',
    'a ping between two fragments',
    join(
      wsFrame({ fin: false, payload: echo('x').slice(0, 9) }),
      pingOf('between'),
      wsFrame({ opcode: OP.continuation, payload: echo('x').slice(9) }),
    ),
    'answered',
  ],
  ['5.4', 'a continuation of nothing', wsFrame({ opcode: OP.continuation, payload: 'x' }), 1002],
  [
    '5.4',
    'an unfinished continuation of nothing',
    wsFrame({ opcode: OP.continuation, fin: false, payload: 'x' }),
    1002,
  ],
  [
    '5.4',
    'a continuation behind a finished message',
    join(fragments(echo('x').slice(0, 9), echo('x').slice(9)), wsFrame({ opcode: OP.continuation, payload: 'x' })),
    1002,
  ],
  ['5.4', 'a text within a text', join(wsFrame({ fin: false, payload: 'x' }), textFrame(echo('x'))), 1002],
  ['5.4', 'a binary within a text', join(wsFrame({ fin: false, payload: 'x' }), wsFrame({ opcode: OP.binary })), 1002],
  ['5.5', 'a ping of 125 bytes', pingOf('x'.repeat(125)), 'answered'],
  ['5.5', 'a ping of 126 bytes', pingOf('x'.repeat(126)), 1002],
  ['5.5', 'a pong of 126 bytes', wsFrame({ opcode: OP.pong, payload: 'x'.repeat(126) }), 1002],
  ['5.5', 'a close of 126 bytes', closeFrame(1000, 'x'.repeat(124)), 1002],
  ['5.5', 'a ping in fragments', pingOf('x', { fin: false }), 1002],
  ['5.5', 'a pong in fragments', wsFrame({ opcode: OP.pong, fin: false }), 1002],
  ['5.5', 'a close in fragments', wsFrame({ opcode: OP.close, fin: false }), 1002],
  ['5.5.1', 'a close without a code', wsFrame({ opcode: OP.close }), 1005],
  ['5.5.1', 'a close with one byte', wsFrame({ opcode: OP.close, payload: bytes(3) }), 1002],
  ['5.5.1', 'a close with a reason', closeFrame(1000, 'bye'), 1000],
  ['5.5.1', 'a close with the longest reason', closeFrame(1000, 'x'.repeat(123)), 1000],
  ['5.5.1', 'a close with a reason that is not UTF-8', closeFrame(1000, bytes(0xc0, 0x80)), 1007],
  ['5.5.1', 'frames behind a close', join(closeFrame(1000), textFrame(echo('x'))), 1000],
  ['5.5.1', 'two closes', join(closeFrame(1000), closeFrame(1001)), 1000],
  ['5.5.2', 'an empty ping', pingOf(''), 'answered'],
  ['5.5.2', 'several pings', join(pingOf('a'), pingOf('b'), pingOf('c')), 'answered'],
  ['5.5.3', 'a pong that nobody has asked for', wsFrame({ opcode: OP.pong, payload: 'x' }), 'answered'],
  ['5.6', 'a binary frame to a codec of text', wsFrame({ opcode: OP.binary, payload: echo('x') }), 1003],
  ...[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999].map(
    (code): FrameCase => ['7.4.1', `a close with ${code}`, closeFrame(code), code],
  ),
  ...[0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535].map((code): FrameCase => [
    '7.4.2',
    `a close with ${code}`,
    closeFrame(code),
    1002,
  ]),
  ['8.1', 'text with a byte that is none', wsFrame({ payload: bytes(0x22, 0xff, 0x22) }), 1007],
  ['8.1', 'text with an overlong form', wsFrame({ payload: bytes(0xc0, 0xaf) }), 1007],
  ['8.1', 'text with half a pair', wsFrame({ payload: bytes(0xed, 0xa0, 0x80) }), 1007],
  ['8.1', 'text beyond the last character', wsFrame({ payload: bytes(0xf4, 0x90, 0x80, 0x80) }), 1007],
  ['8.1', 'text that ends within a character', wsFrame({ payload: bytes(0xe2, 0x82) }), 1007],
  ['8.1', 'text that is split within a character', fragments(...splitAt(echo('€'))), 'answered'],
  ['8.1', 'text of all planes', textFrame(echo('aß€😀\ufffd')), 'answered'],
  ['10.4', 'a message of more than maxPackSize', textFrame(echo('x'.repeat(65_536))), 1009],
];

/** A text in two parts, cut within a character of three bytes. */
function splitAt(text: string): [Buffer, Buffer] {
  const whole = Buffer.from(text);
  const at = whole.indexOf(Buffer.from('€')) + 1;
  return [whole.subarray(0, at), whole.subarray(at)];
}

/** What may follow a good request in the same write, and the code that it ends with. */
export const ENDINGS: readonly (readonly [name: string, bytes: Uint8Array, code: number])[] = [
  ['a close', closeFrame(1000), 1000],
  ['a close without a code', wsFrame({ opcode: OP.close }), 1005],
  ['a frame that is not masked', wsFrame({ masked: false, payload: 'x' }), 1002],
  ['a reserved opcode', wsFrame({ opcode: 3 }), 1002],
  ['bytes that are not UTF-8', wsFrame({ payload: bytes(0xff) }), 1007],
  ['a message that is too large', wsFrame({ claim: 2n ** 40n }), 1009],
];
