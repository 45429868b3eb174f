import { afterEach, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import type { GateOptions } from '@nestgate/gate';
import { LinkNode } from '@nestgate/link';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { FaultTopics } from './support/protocol-support.js';
import { codeOf } from '../../support/codes.js';

describe('error codes of gate.json', () => {
  let cluster: TestCluster;

  afterEach(() => cluster.close());

  async function start(gate: GateOptions = {}, workers = 0): Promise<FakeClient> {
    const handlers = { imports: [HandlersModule], controllers: [FaultTopics] };
    cluster = await createTestCluster({ handlers, gate, workers });
    return cluster.connect();
  }

  it('BAD_FRAME: nine are forgiven, the tenth closes with 1008', async () => {
    const client = await start();
    const other = await cluster.connect();
    for (let sent = 1; sent <= 9; sent++) client.sendRaw('no frame');
    await waitUntil('nine errors', () => client.pushes('$gate/error').length === 9);
    expect(await client.request('echo/echo', 'alive')).toBe('alive');
    client.sendRaw('no frame');
    expect((await client.closed).code).toBe(1008);
    expect(client.pushes('$gate/error').map(push => (push.body as { code: string }).code)).toEqual(
      Array.from({ length: 10 }, () => 'BAD_FRAME'),
    );
    expect(await other.request('echo/echo', 'unharmed')).toBe('unharmed');
  });

  it('BAD_TOPIC: whatever is outside of the grammar', async () => {
    const client = await start();
    const bad = ['', '/', 'a/', '/a', 'a//b', 'a/*', '>', 'a b', 'a\r\nb', 'a\u0000', 'é/a', 'a\u00a0', 'a\u200b'];
    bad.push('\ud800', '\u001b[0m', 'x'.repeat(129), `a/${'x'.repeat(5_000)}`, 'a?b', 'a#b', '$gate', '$gate/error');
    for (const topic of bad) expect([topic, await codeOf(client, topic)]).toEqual([topic, 'BAD_TOPIC']);
    expect(await codeOf(client, 'x'.repeat(128))).toBe('NO_ROUTE');
    client.send('a//b');
    expect((await client.push('$gate/error')).body).toMatchObject({ code: 'BAD_TOPIC', topic: 'a//b' });
  });

  it('NO_ROUTE for an unknown module, NO_HANDLER for an unknown topic of a known one', async () => {
    const client = await start();
    expect(await codeOf(client, 'nowhere/x')).toBe('NO_ROUTE');
    expect(await codeOf(client, 'nowhere')).toBe('NO_ROUTE');
    expect(await codeOf(client, 'echo/nothing')).toBe('NO_HANDLER');
    expect(await codeOf(client, 'echo')).toBe('NO_HANDLER');
    for (const module of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      expect([module, await codeOf(client, `${module}/x`)]).toEqual([module, 'NO_ROUTE']);
      expect([module, await codeOf(client, `echo/${module}`)]).toEqual([module, 'NO_HANDLER']);
    }
    client.send('echo/nothing');
    expect((await client.push('$gate/error')).body).toMatchObject({ code: 'NO_HANDLER', topic: 'echo/nothing' });
  });

  it('NO_WORKER when the workers are gone and none comes within the wait', async () => {
    const client = await start({ workerWait: 150 }, 1);
    expect(await client.request('echo/echo', 1)).toBe(1);
    await cluster.workers[0]?.app.close();
    const before = Date.now();
    const ids = [client.ask('echo/echo', 1), client.ask('chat/rooms'), client.ask('nowhere/x')];
    const answers = await Promise.all(ids.map(id => client.answer(id)));
    expect(answers.map(answer => answer.error?.code)).toEqual(['NO_WORKER', 'NO_WORKER', 'NO_ROUTE']);
    expect(Date.now() - before).toBeGreaterThanOrEqual(140);
  });

  it('WORKER_LOST when the worker vanishes while it handles the request', async () => {
    const client = await start({}, 1);
    const id = client.ask('echo/slow', { ms: 300 });
    await client.request('$gate/ping');
    const before = Date.now();
    await cluster.workers[0]?.app.get(LinkNode).close({ drain: false });
    expect((await client.answer(id)).error?.code).toBe('WORKER_LOST');
    expect(Date.now() - before).toBeLessThan(1_000);
  });

  it('WORKER_LOST when the worker is closed, and the request takes longer than it waits', async () => {
    const client = await start({}, 1);
    const id = client.ask('echo/slow', { ms: 5_500 });
    await client.request('$gate/ping');
    await cluster.workers[0]?.app.close();
    expect((await client.answer(id, 250)).error?.code).toBe('WORKER_LOST');
    expect(await client.request('$gate/ping')).toBeNull();
  });

  it('a worker that is closed answers first what it handles', async () => {
    const client = await start({ workerWait: 0 }, 1);
    const id = client.ask('echo/slow', { ms: 200 });
    await client.request('$gate/ping');
    await cluster.workers[0]?.app.close();
    expect((await client.answer(id)).body).toEqual({ ms: 200 });
    expect(await codeOf(client, 'echo/echo')).toBe('NO_WORKER');
  });

  it('TIMEOUT when a request is not answered in time', async () => {
    const client = await start({ requestTimeout: 150 });
    const before = Date.now();
    expect(await codeOf(client, 'echo/slow', { ms: 400 })).toBe('TIMEOUT');
    const took = Date.now() - before;
    expect(took).toBeGreaterThanOrEqual(140);
    expect(took).toBeLessThan(150 + 250);
    client.send('echo/slow', { ms: 400 });
    expect((await client.push('$gate/error')).body).toMatchObject({ code: 'TIMEOUT', topic: 'echo/slow' });
  });

  it('RATE_LIMITED past the burst, with the id, and only for that client', async () => {
    const client = await start({ messageRate: 1 });
    const ids = [1, 2, 3, 4].map(() => client.ask('echo/echo', 1));
    const codes = [];
    for (const id of ids) codes.push((await client.answer(id)).error?.code);
    expect(codes).toEqual([undefined, undefined, 'RATE_LIMITED', 'RATE_LIMITED']);
    client.send('echo/echo', 1);
    expect((await client.push('$gate/error')).body).toMatchObject({ code: 'RATE_LIMITED', topic: 'echo/echo' });
    expect(await (await cluster.connect()).request('echo/echo', 1)).toBe(1);
  });

  it('PAYLOAD_TOO_LARGE: 65,535 bytes pass, one more closes with 1009', async () => {
    const client = await start();
    const frame = (size: number) => {
      const head = '{"topic":"echo/echo","body":"';
      const tail = '","id":1}';
      return head + 'x'.repeat(size - head.length - tail.length) + tail;
    };
    client.sendRaw(frame(65_535));
    expect(((await client.answer(1)).body as string).length).toBeGreaterThan(65_000);
    client.sendRaw(frame(65_536));
    expect((await client.closed).code).toBe(1009);
    expect(await (await cluster.connect()).request('echo/echo', 1)).toBe(1);
  });

  it('UNAUTHORIZED and FORBIDDEN', async () => {
    const client = await start();
    expect((await client.exchange('fault/unauthorized')).error).toEqual({
      code: 'UNAUTHORIZED',
      message: 'Log in first',
    });
    expect((await client.exchange('fault/forbidden')).error?.code).toBe('FORBIDDEN');
  });

  it("BAD_REQUEST with the validator's messages", async () => {
    const client = await start();
    expect((await client.exchange('chat/say', { room: '', text: 5 })).error).toEqual({
      code: 'BAD_REQUEST',
      message: expect.any(String),
      details: [
        { path: 'room', message: expect.any(String) },
        { path: 'text', message: expect.any(String) },
      ],
    });
    for (const body of [undefined, null, 5, 'text', [], true]) {
      expect([body, await codeOf(client, 'chat/login', body)]).toEqual([body, 'BAD_REQUEST']);
    }
    client.send('chat/login', {});
    expect((await client.push('$gate/error')).body).toMatchObject({
      code: 'BAD_REQUEST',
      topic: 'chat/login',
      details: expect.any(Array),
    });
  });

  it('DUPLICATE_ID for the second, while the first still gets its reply', async () => {
    const client = await start();
    client.sendRaw('{"topic":"echo/slow","body":{"ms":150},"id":7}');
    client.sendRaw('{"topic":"echo/echo","body":"second","id":7}');
    await waitUntil('both answers', () => client.frames.filter(frame => frame.id === 7).length === 2);
    const answers = client.frames.filter(frame => frame.id === 7);
    expect(answers.map(answer => answer.error?.code ?? answer.body)).toEqual(['DUPLICATE_ID', { ms: 150 }]);
    client.sendRaw('{"topic":"echo/echo","body":"again","id":7}');
    await waitUntil('the third answer', () => client.frames.some(frame => frame.body === 'again'));
  });

  it('DUPLICATE_ID for a ping with the id of an unanswered request', async () => {
    const client = await start();
    client.sendRaw('{"topic":"echo/slow","body":{"ms":150},"id":7}');
    client.sendRaw('{"topic":"$gate/ping","id":7}');
    await waitUntil('both answers', () => client.frames.filter(frame => frame.id === 7).length === 2);
    const answers = client.frames.filter(frame => frame.id === 7);
    expect(answers.map(answer => answer.error?.code ?? answer.body)).toEqual(['DUPLICATE_ID', { ms: 150 }]);
  });

  it('SESSION_NOT_FOUND when a handler uses a client that is gone', async () => {
    const client = await start();
    const gone = await cluster.connect();
    expect(await client.request('fault/session', gone.clientId)).toBe('joined');
    gone.socket.terminate();
    await waitUntil('the other client to be gone', async () => !(await cluster.api.isOnline(gone.clientId)));
    for (const id of [gone.clientId, 'nonsense', '', 'x'.repeat(200)]) {
      expect([id, await codeOf(client, 'fault/session', id)]).toEqual([id, 'SESSION_NOT_FOUND']);
    }
  });

  it('INTERNAL hides what was thrown, codes of RpcExceptions pass', async () => {
    const client = await start();
    expect((await client.exchange('echo/fail', {})).error).toEqual({
      code: 'INTERNAL',
      message: 'Internal server error',
    });
    for (const code of ['TEAPOT', 'chat.full', 'NO_ROUTE', 'x'.repeat(64)]) {
      expect((await client.exchange('echo/fail', { code })).error).toEqual({ code, message: 'Failed as asked' });
    }
  });
});
