import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { createTestCluster, type TestCluster } from '@nestgate/testing';
import { BAD_FRAMES, nest, nestObjects } from './support/bad-input-json-cases.js';
import { countersOf, withNeighbour } from '../support/raw-neighbour.js';
import { RawClient } from '../support/raw-websocket.js';

const ECHO = '"topic":"echo/echo"';
const BAD_FRAME = { topic: '$gate/error', body: { code: 'BAD_FRAME', message: expect.any(String) } };
const TEN_BAD_FRAMES = Array.from({ length: 10 }, () => BAD_FRAME);

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

  it.each(BAD_FRAMES)('%s is a BAD_FRAME, which belongs to no id', (_name, frames) =>
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
