import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { createTestCluster, type TestCluster } from '@nestgate/testing';
import { countersOf, withNeighbour } from './support/raw-neighbour.js';
import { RawClient } from './support/raw-websocket.js';

const ECHO = '"topic":"echo/echo"';
const BAD_FRAME = { topic: '$gate/error', body: { code: 'BAD_FRAME', message: expect.any(String) } };
const TEN_BAD_FRAMES = Array.from({ length: 10 }, () => BAD_FRAME);

/** A value that nests so deep, and one around which stands the frame. */
const nest = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
const nestObjects = (depth: number): string => `${'{"a":'.repeat(depth - 1)}{}${'}'.repeat(depth - 1)}`;

const BAD_SHAPES = [
  '',
  ' ',
  'hello',
  'null',
  'true',
  '7',
  '"echo/echo"',
  '[]',
  `[{${ECHO}}]`,
  '{}',
  '{"id":1}',
  '{"body":1,"id":1}',
  '{"topic":7,"id":1}',
  '{"topic":null,"id":1}',
  '{"topic":["echo/echo"],"id":1}',
  '{"topic":{"toString":"echo/echo"},"id":1}',
  '{"Topic":"echo/echo","id":1}',
  '{"__proto__":{"topic":"echo/echo"},"id":1}',
  '{"constructor":{"prototype":{"topic":"echo/echo"}},"id":1}',
];

const BAD_SYNTAX = [
  `{${ECHO},"id":1`,
  `{${ECHO},"id":1}}`,
  `{${ECHO},"id":1} x`,
  `{${ECHO},"id":1}{${ECHO},"id":2}`,
  `{${ECHO},"id":1}\0`,
  `\ufeff{${ECHO},"id":1}`,
  `{${ECHO},"id":1,}`,
  `{,${ECHO},"id":1}`,
  `{${ECHO} "id":1}`,
  `{${ECHO},"id":1 "body":2}`,
  `{'topic':'echo/echo','id':1}`,
  `{topic:"echo/echo","id":1}`,
  `{${ECHO},"id":1} // done`,
  `\u00a0{${ECHO},"id":1}`,
  '{"topic":"echo/echo,"id":1}',
  '{"topic":"echo/\\echo","id":1}',
  '{"topic":"echo\necho","id":1}',
];

const BAD_BODIES = [
  '',
  '{',
  '{x}',
  '{"a"}',
  '{"a":}',
  '{"a":1,}',
  '{"a":1 "b":2}',
  '[1,]',
  '[1 2]',
  '[}',
  '{]',
  '[[}]',
  'tru',
  'nul',
  'True',
  'undefined',
  'NaN',
  'Infinity',
  '-',
  '+1',
  '01',
  '1.',
  '.5',
  '1e',
  '0x10',
  '1 2',
  "'x'",
  '"\\x"',
  '"\\u12"',
  '"a\nb"',
  '"a\tb"',
  '"open',
  '[1]2',
  '"a""b"',
  '/**/1',
].flatMap(body => [`{${ECHO},"body":${body},"id":1}`, `{"id":1, "body":${body}, ${ECHO}}`]);

const BAD_IDS = [
  '0',
  '-0',
  '-1',
  '1.5',
  '0.9',
  '"7"',
  'null',
  'true',
  '[7]',
  '{}',
  '01',
  '+1',
  '9007199254740992',
  '9007199254740993',
  '99999999999999999999',
  '1e400',
  '-1e400',
  '1e-400',
  'NaN',
].flatMap(id => [`{${ECHO},"body":1,"id":${id}}`, `{"id":${id},${ECHO}}`]);

const TOO_DEEP = [nest(32), nestObjects(32), nest(10_000), nestObjects(5_000), '['.repeat(60_000)].flatMap(deep => [
  `{${ECHO},"body":${deep},"id":1}`,
  `{"id":1,"extra":${deep},${ECHO}}`,
]);

/** Frames that are fine, and the body that comes back for the id 1. */
const FINE: readonly [frame: string, body: unknown][] = [
  [`{"id":1,"body":{"a":[1]},${ECHO}}`, { a: [1] }],
  [`{"body":{"a":[1]},"id":1,${ECHO}}`, { a: [1] }],
  [`{${ECHO},"id":1,"body":"x"}`, 'x'],
  [`{${ECHO},"id":1}`, null],
  [` \r\n\t{ "topic" :\t"echo/echo"\n,\r"body" : [ 1 , 2 ] , "id" : 1 } \n`, [1, 2]],
  [`{${ECHO},"body":1,"id":1,"extra":{"deep":[{}]},"":null,"bodY":2}`, 1],
  [`{"extra":"}\\"{",${ECHO},"body":"}],{[\\"\\\\","id":1}`, '}],{["\\'],
  ['{"\\u0074opic":"echo\\/echo","bod\\u0079":2,"\\u0069d":1}', 2],
  [`{${ECHO},"body":${nest(31)},"id":1}`, JSON.parse(nest(31))],
  [`{"id":1,"body":${nestObjects(31)},${ECHO}}`, JSON.parse(nestObjects(31))],
  [`{${ECHO},"body":"${'['.repeat(40)}","id":1}`, '['.repeat(40)],
  // Of a key that stands there twice the last one counts, as in JSON.parse.
  [`{"topic":"nowhere/x",${ECHO},"body":1,"body":2,"id":9,"id":1}`, 2],
  [`{${ECHO},"body":1,"id":1,"body":{"last":true}}`, { last: true }],
  [`{"topic":7,${ECHO},"id":0,"id":1,"body":[]}`, []],
  // Names with a meaning in JavaScript are names like any other.
  [`{${ECHO},"__proto__":{"id":5,"body":5},"id":1}`, null],
  [`{"constructor":1,"toString":2,"hasOwnProperty":3,"id":1,${ECHO}}`, null],
  [
    `{${ECHO},"body":{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}},"id":1}`,
    JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}'),
  ],
  [`{${ECHO},"body":"\\u0000\\ud800\\u2028🦊","id":1}`, '\u0000\ud800\u2028🦊'],
];

describe('a gate.json frame', () => {
  let cluster: TestCluster;
  let port: number;

  beforeAll(async () => {
    cluster = await createTestCluster({
      handlers: { imports: [HandlersModule] },
      gate: { maxConnectionsPerIp: 0, messageRate: 0 },
    });
    ({ port } = cluster.gate);
  });

  afterAll(() => cluster.close());

  it.each([
    ['of another shape', BAD_SHAPES],
    ['that is not JSON', BAD_SYNTAX],
    ['with a broken body', BAD_BODIES],
    ['with a bad id', BAD_IDS],
    ['that nests too deep', TOO_DEEP],
  ])('%s is a BAD_FRAME, which belongs to no id', (_name, frames) =>
    withNeighbour(cluster, async () => {
      let client = await RawClient.connect(port);
      for (const [i, text] of frames.entries()) {
        // The tenth would close it.
        if (i % 9 === 8) client = await RawClient.connect(port);
        const before = countersOf(cluster).get('frames_refused', 'BAD_FRAME');
        client.frames.length = 0;
        client.sendText(text);
        await client.sync();
        // The text stands beside it so that a failure says which one it was.
        expect([text, ...client.frames]).toEqual([text, BAD_FRAME, { id: 777_001, body: null }]);
        expect(countersOf(cluster).get('frames_refused', 'BAD_FRAME')).toBe(before + 1);
      }
    }),
  );

  it.each(FINE)('%j is fine', (text, body) =>
    withNeighbour(cluster, async () => {
      const client = await RawClient.connect(port);
      client.sendText(text);
      await client.sync();
      expect(client.frames).toEqual([
        { id: 1, body },
        { id: 777_001, body: null },
      ]);
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    }),
  );

  it('may have the largest id', () =>
    withNeighbour(cluster, async () => {
      const client = await RawClient.connect(port);
      client.sendText(`{"id":${Number.MAX_SAFE_INTEGER},"body":1,${ECHO}}`);
      client.sendText(`{${ECHO},"body":2,"id":${Number.MAX_SAFE_INTEGER - 1}}`);
      expect((await client.answer(Number.MAX_SAFE_INTEGER)).body).toBe(1);
      expect((await client.answer(Number.MAX_SAFE_INTEGER - 1)).body).toBe(2);
    }));

  const BROKEN_BODY = `{${ECHO},"body":{x},"id":1}`;

  it.each([
    ['no JSON', ['hello']],
    ['a broken body', [BROKEN_BODY]],
    ['a broken body for nobody', ['{"topic":"nowhere/x","body":{x},"id":1}']],
    ['each of them', ['hello', BROKEN_BODY, '{"topic":"nowhere/x","body":{x}}']],
  ])('of %s closes with 1008 when it is the tenth', (_name, texts) =>
    withNeighbour(cluster, async () => {
      const client = await RawClient.connect(port);
      for (let i = 0; i < 9; i++) {
        client.sendText(texts[i % texts.length] as string);
        await client.sync(i + 100);
      }
      client.sendText(texts[0] as string, `{${ECHO},"id":5}`);
      expect(await client.closed()).toBe(1008);
      expect(client.frames.filter(frame => frame.topic === '$gate/error')).toEqual(TEN_BAD_FRAMES);
      expect(client.framesAfterClose).toBe(0);
      expect(countersOf(cluster).get('connections_closed', 1008)).toBeGreaterThan(0);
    }),
  );

  it.each([
    ['no JSON', 'hello'],
    ['broken bodies', `{${ECHO},"body":{x}}`],
  ])('in a flood of %s gets ten answers and the close', (_name, text) =>
    withNeighbour(cluster, async () => {
      const client = await RawClient.connect(port);
      client.sendText(...Array.from({ length: 1_000 }, () => text));
      expect(await client.closed()).toBe(1008);
      expect(client.frames).toEqual(TEN_BAD_FRAMES);
    }),
  );
});
