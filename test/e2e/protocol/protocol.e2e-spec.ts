import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { createTestCluster, type TestCluster } from '@nestgate/testing';
import { FaultTopics, RawClient } from './support/protocol-support.js';

const BAD_FRAME = '{"topic":"$gate/error","body":{"code":"BAD_FRAME","message":"The frame is malformed"}}';

/** Every kind of JSON value, as `JSON.stringify` writes it. */
const BODIES = [
  '0',
  '-1.5',
  '1e+21',
  '9007199254740991',
  'true',
  'false',
  'null',
  '""',
  '"text"',
  '"quote \\" backslash \\\\ slash / newline \\n tab \\t nul \\u0000"',
  '"é ß 漢字 🦊 👩‍👩‍👧"',
  '"lone \\ud800 surrogate"',
  '"}],{\\"id\\":9}"',
  '[]',
  '{}',
  '[1,"two",[3,[null,false]],{"four":4}]',
  '{"topic":"chat/say","body":{"id":3},"id":4}',
  '{"__proto__":{"x":1},"constructor":"c"}',
  '{"":"empty key","a b":1,"é🦊":2}',
];

describe('gate.json to the byte', () => {
  let cluster: TestCluster;
  let client: RawClient;

  beforeAll(async () => {
    cluster = await createTestCluster({
      handlers: { imports: [HandlersModule], controllers: [FaultTopics] },
      gate: { messageRate: 0 },
    });
  });
  afterAll(() => cluster.close());
  beforeEach(async () => void (client = await RawClient.connect(cluster.gate.url)));
  afterEach(() => client.close());

  it('greets with the client id and the heartbeat', async () => {
    const [clientId] = await cluster.api.getAllClientIdList();
    expect(client.hello).toBe(`{"topic":"$gate/hello","body":{"clientId":"${clientId}","heartbeatMs":25000}}`);
    const other = await createTestCluster({ gate: { pingInterval: 1_234 } });
    const guest = await RawClient.connect(other.gate.url);
    expect(guest.hello).toContain('"heartbeatMs":1234}}');
    guest.close();
    await other.close();
  });

  it.each(BODIES)('echoes %s', async body => {
    expect(await client.exchange(`{"topic":"echo/echo","body":${body},"id":1}`)).toBe(`{"id":1,"body":${body}}`);
    expect(await client.exchange(`{"topic":"echo/echo","body":${body}}`)).toBe(`{"topic":"echo/echo","body":${body}}`);
    // The same frame in an order that has to be parsed.
    expect(await client.exchange(`{ "id": 2, "body": ${body}, "topic": "echo/echo" }`)).toBe(`{"id":2,"body":${body}}`);
    await client.expectNothingMore();
  });

  it('takes a missing body for nothing', async () => {
    expect(await client.exchange('{"topic":"echo/echo","id":3}')).toBe('{"id":3,"body":null}');
    expect(await client.exchange('{"id":4,"topic":"echo/echo"}')).toBe('{"id":4,"body":null}');
    expect(await client.exchange('{"topic":"echo/echo"}')).toBe('{"topic":"echo/echo","body":null}');
    expect(await client.exchange('{"topic":"fault/nothing","id":5}')).toBe('{"topic":"fault/pushed","body":null}');
    expect(await client.next()).toBe('{"id":5,"body":null}');
  });

  it('takes keys in any order, spaces, escapes and unknown keys', async () => {
    const frames = [
      '{"body":"x","id":1,"topic":"echo/echo"}',
      '{"topic":"echo/echo","id":1,"body":"x"}',
      ' {\n\t"topic" : "echo/echo" , "body" : "x" , "id" : 1 }\r\n',
      '{"topic":"echo\\/echo","body":"x","id":1}',
      '{"\\u0074opic":"echo/echo","body":"\\u0078","id":1}',
      '{"topic":"echo/echo","body":"x","id":1,"more":{"id":[2]}}',
      '{"v":1,"topic":"echo/echo","body":"x","id":1}',
    ];
    for (const frame of frames) expect([frame, await client.exchange(frame)]).toEqual([frame, '{"id":1,"body":"x"}']);
  });

  it('takes ids from 1 to 2^53-1, and no others', async () => {
    for (const id of ['1', '999999999999999', '1000000000000000', '9007199254740991']) {
      expect(await client.exchange(`{"topic":"echo/echo","body":0,"id":${id}}`)).toBe(`{"id":${id},"body":0}`);
    }
    for (const id of ['0', '-1', '1.5', '9007199254740992', '1e300', '"1"', 'null', 'true', '[1]']) {
      expect([id, await client.exchange(`{"topic":"echo/echo","body":0,"id":${id}}`)]).toEqual([id, BAD_FRAME]);
    }
  });

  it('answers what is no frame with BAD_FRAME, without an id', async () => {
    const frames = ['', 'hello', '{"topic":"echo/echo","id":1', '[]', '"echo/echo"', '5', '{}', '{"topic":5,"id":1}'];
    for (const frame of frames) expect([frame, await client.exchange(frame)]).toEqual([frame, BAD_FRAME]);
    // A ninth; the tenth would be the last.
    expect(await client.exchange('{"id":1}')).toBe(BAD_FRAME);
    expect(await client.exchange('{"topic":"echo/echo","body":1,"id":1}')).toBe('{"id":1,"body":1}');
  });

  it.each(['echo/echo', 'echo/unknown', 'nowhere/echo'])('notices a broken body on %s', async topic => {
    for (const body of ['{x}', '01', 'nul', '{"a":1,}', '"\\x"']) {
      expect([body, await client.exchange(`{"topic":"${topic}","body":${body},"id":1}`)]).toEqual([body, BAD_FRAME]);
    }
    expect(await client.exchange('{"topic":"echo/echo","body":1,"id":1}')).toBe('{"id":1,"body":1}');
  });

  it('takes 32 levels of JSON, the frame included, and no more', async () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    expect(await client.exchange(`{"topic":"echo/echo","body":${nested(31)},"id":1}`)).toBe(
      `{"id":1,"body":${nested(31)}}`,
    );
    expect(await client.exchange(`{"topic":"echo/echo","body":${nested(32)},"id":1}`)).toBe(BAD_FRAME);
    expect(await client.exchange(`{"id":1,"topic":"echo/echo","body":${nested(32)}}`)).toBe(BAD_FRAME);
    expect(await client.exchange(`{"topic":"echo/echo","body":${nested(10_000)},"id":1}`)).toBe(BAD_FRAME);
  });

  it('answers pings, and takes nothing else that starts with $', async () => {
    expect(await client.exchange('{"topic":"$gate/ping"}')).toBe('{"topic":"$gate/pong"}');
    expect(await client.exchange('{"topic":"$gate/ping","body":{"any":1}}')).toBe('{"topic":"$gate/pong"}');
    expect(await client.exchange('{"topic":"$gate/ping","id":8}')).toBe('{"id":8,"body":null}');
    expect(await client.exchange('{"topic":"$gate/hello","id":9}')).toBe(
      '{"id":9,"error":{"code":"BAD_TOPIC","message":"The topic is not allowed"}}',
    );
    expect(await client.exchange('{"topic":"$gate/pong"}')).toBe(
      '{"topic":"$gate/error","body":{"code":"BAD_TOPIC","message":"The topic is not allowed","topic":"$gate/pong"}}',
    );
  });

  it('answers errors with an id as replies, and without one on $gate/error', async () => {
    expect(await client.exchange('{"topic":"nowhere/x","body":1,"id":7}')).toBe(
      '{"id":7,"error":{"code":"NO_ROUTE","message":"No worker serves this module"}}',
    );
    expect(await client.exchange('{"topic":"nowhere/x","body":1}')).toBe(
      '{"topic":"$gate/error","body":{"code":"NO_ROUTE","message":"No worker serves this module","topic":"nowhere/x"}}',
    );
    expect(await client.exchange('{"topic":"echo/fail","body":{},"id":1}')).toBe(
      '{"id":1,"error":{"code":"INTERNAL","message":"Internal server error"}}',
    );
    expect(await client.exchange('{"topic":"echo/fail","body":{"code":"TEAPOT"}}')).toBe(
      '{"topic":"$gate/error","body":{"code":"TEAPOT","message":"Failed as asked","topic":"echo/fail"}}',
    );
  });

  it('sends bytes as base64', async () => {
    expect(await client.exchange('{"topic":"fault/bytes","id":1}')).toBe(
      '{"topic":"fault/pushed","body":"AAF/gP7/","encoding":"base64"}',
    );
    expect(await client.next()).toBe('{"id":1,"body":"AAF/gP7/","encoding":"base64"}');
    const { clientId } = (JSON.parse(client.hello) as { body: { clientId: string } }).body;
    await cluster.api.sendToClient(clientId, 'a/b', Buffer.alloc(0));
    expect(await client.next()).toBe('{"topic":"a/b","body":"","encoding":"base64"}');
  });

  it('pushes what the api sends, compact', async () => {
    const { clientId } = (JSON.parse(client.hello) as { body: { clientId: string } }).body;
    await cluster.api.sendToClient(clientId, 'a/b.c:d-e_f/9', { text: 'é"🦊', list: [1, undefined], none: undefined });
    expect(await client.next()).toBe('{"topic":"a/b.c:d-e_f/9","body":{"text":"é\\"🦊","list":[1,null]}}');
    await cluster.api.sendToAll('solo', 0);
    expect(await client.next()).toBe('{"topic":"solo","body":0}');
  });

  it('frames bodies of every length class', async () => {
    for (const length of [100, 102, 103, 104, 105, 106, 107, 108, 109, 110, 125, 126, 127, 60_000, 65_480, 65_500]) {
      const text = `{"topic":"echo/echo","body":"${'x'.repeat(length)}"}`;
      if (text.length > 65_535) throw new Error('too long for a client');
      expect(await client.exchange(text)).toBe(text);
    }
    const { clientId } = (JSON.parse(client.hello) as { body: { clientId: string } }).body;
    for (const length of [65_510, 65_511, 65_512, 65_513, 65_514, 65_536, 200_000, 1_000_000]) {
      await cluster.api.sendToClient(clientId, 'big/push', 'y'.repeat(length));
      expect((await client.next()) === `{"topic":"big/push","body":"${'y'.repeat(length)}"}`).toBe(true);
    }
  });
});
