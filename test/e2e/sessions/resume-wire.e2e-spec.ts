import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import type { GateCounters } from '@nestgate/gate';
import { Gate } from '@nestgate/gate';
import { createTestCluster, FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { OnTopic } from '@nestgate/worker';
import { type Frame, ResumeClient } from '../support/resume-client.js';

const TICKET = /^[A-Za-z0-9_-]{22}$/;

@Controller()
class EchoTopics {
  @OnTopic('echo/echo')
  echo(@Payload() body: unknown): unknown {
    return body;
  }
}

describe('the wire of resumable sessions', () => {
  let cluster: TestCluster;
  let counters: GateCounters;
  const open = (parts = {}) => ResumeClient.open(cluster.gate.url, parts);
  const raw = async (...frames: readonly (Frame | string)[]) => {
    const client = new ResumeClient(cluster.gate.url);
    await client.connect(...frames);
    return client;
  };

  beforeAll(async () => {
    cluster = await createTestCluster({
      handlers: { controllers: [EchoTopics] },
      gate: { resume: {}, overTime: 400, pingInterval: 100, heartOverTimer: 10_000, messageRate: 50 },
    });
    ({ counters } = cluster.gate.app.get(Gate));
  });
  afterAll(() => cluster.close());

  it('greets a client that opens a session with its terms', async () => {
    const client = await open();
    expect(client.socket?.protocol).toBe('gate.json.2');
    expect(client.own[0]).toEqual({
      topic: '$gate/hello',
      body: {
        clientId: client.clientId,
        heartbeatMs: 100,
        session: {
          ticket: expect.stringMatching(TICKET),
          keepMs: 30_000,
          frames: 1_000,
          bytes: 262_144,
          ackEvery: 64,
          ackMs: 1_000,
        },
      },
    });
    client.cut();
  });

  it('goes on where the client was, with a new ticket', async () => {
    const client = await open();
    const { clientId, ticket } = client;
    expect(await client.request('echo/echo', 1)).toBe(1);
    client.cut();
    await waitUntil('the client to be away', async () => (await cluster.api.getClientState(clientId)) === 'away');
    expect(await cluster.api.isOnline(clientId)).toBe(true);
    for (const body of [1, 2, 3]) await cluster.api.sendToClient(clientId, 'p/p', body);
    const resumed = await client.resume();
    expect(resumed).toEqual({
      clientId,
      ticket: expect.stringMatching(TICKET),
      from: 2,
      heard: 1,
      awayMs: expect.any(Number),
    });
    expect(resumed.ticket).not.toBe(ticket);
    await waitUntil('the pushes', () => client.pushed('p/p').length === 3);
    expect(client.pushed('p/p')).toEqual([1, 2, 3]);
    expect(await cluster.api.getClientState(clientId)).toBe('online');
    expect(await client.request('echo/echo', 2)).toBe(2);
    client.sendOwn({ topic: '$gate/bye' });
    expect(await client.closed()).toBe(1000);
    expect(await cluster.api.getClientState(clientId)).toBe('gone');
  });

  it('holds frames that come with the first one', async () => {
    const client = new ResumeClient(cluster.gate.url);
    await client.connect({ topic: '$gate/open', body: { v: 2 } }, { topic: 'echo/echo', body: 7, id: 1 });
    expect((await client.answer(1)).body).toBe(7);
    expect(client.own[0]?.topic).toBe('$gate/hello');
    client.sent = 1;
    await client.beginResume({}, { topic: 'echo/echo', body: 8, id: 2 });
    expect((await client.greeted()).heard).toBe(1);
    expect((await client.answer(2)).body).toBe(8);
    client.cut();
  });

  it('keeps no session for a client that does not want it', async () => {
    const client = await open({ keep: false });
    expect(client.own).toEqual([{ topic: '$gate/hello', body: { clientId: client.clientId, heartbeatMs: 100 } }]);
    expect(await client.request('echo/echo', 1)).toBe(1);
    client.cut();
    await waitUntil('the end', async () => !(await cluster.api.isOnline(client.clientId)));
    const again = await open({ keep: false });
    again.sendOwn({ topic: '$gate/open', body: { v: 2, keep: true } });
    expect(await again.closed()).toBe(1008);
  });

  it('leaves clients of gate.json alone', async () => {
    const client = await FakeClient.connect(cluster.gate.url, { protocols: ['gate.json'] });
    expect(client.frames[0]).toEqual({
      topic: '$gate/hello',
      body: { clientId: client.clientId, heartbeatMs: 100 },
    });
    await client.close();
    await waitUntil('the end', async () => !(await cluster.api.isOnline(client.clientId)));
  });

  it.each([
    ['a message', { topic: 'echo/echo', body: 1 }, 1002],
    ['a ping', { topic: '$gate/ping' }, 1002],
    ['an ack', { topic: '$gate/ack', body: 0 }, 1002],
    ['no JSON', '{', 1002],
    ['an open of another version', { topic: '$gate/open', body: { v: 3, keep: true } }, 1008],
    ['an open without a body', { topic: '$gate/open' }, 1008],
    ['an open whose keep is no boolean', { topic: '$gate/open', body: { v: 2, keep: 1 } }, 1008],
    ['a resume without a ticket', { topic: '$gate/resume', body: { v: 2, session: 'a.b.1', seen: 0, sent: 0 } }, 1008],
    [
      'a resume with a count that is none',
      { topic: '$gate/resume', body: { v: 2, session: 'a.b.1', ticket: 'x', seen: 1.5, sent: 0 } },
      1008,
    ],
    ['an open of 1 MB', { topic: '$gate/open', body: { v: 2, keep: true, pad: 'x'.repeat(1_000_000) } }, 1009],
  ])('closes a connection whose first frame is %s', async (_what, frame, code) => {
    expect(await (await raw(frame)).closed()).toBe(code);
  });

  it('closes a connection that says nothing', async () => {
    const client = await raw();
    expect(await client.closed()).toBe(1008);
    expect(client.own).toEqual([]);
  });

  it('takes keys in any order, with spaces and escapes', async () => {
    const client = await raw('{ "body" : {"keep":true,"v":2, "more":1}, "topic" : "\\u0024gate\\/open" }');
    await client.greeted();
    client.sent = 2;
    client.sendOwn('{"body":1, "topic":"echo/echo","id":5}');
    client.sendOwn(' {"topic":"echo/echo","id":6,"body":"$gate/ack"}');
    expect((await client.answer(6)).body).toBe('$gate/ack');
    client.cut();
    expect((await client.resume()).heard).toBe(2);
    client.cut();
  });

  it('closes what opens or resumes again, and keeps nothing of it', async () => {
    for (const kind of ['open', 'resume']) {
      const client = await open();
      client.sendOwn({ topic: `$gate/${kind}`, body: { v: 2, keep: true } });
      expect(await client.closed()).toBe(1008);
      await client.resume();
      expect(client.ownOf('refused')).toEqual([
        { code: 'RESUME_CLOSED', message: expect.any(String), closeCode: 1008 },
      ]);
      client.cut();
    }
  });

  it.each([5, -1, 1.5, '1', null, 2 ** 60, undefined])('closes a client that acknowledges %p', async forged => {
    const client = await open();
    await client.request('echo/echo', 1);
    client.sendOwn({ topic: '$gate/ack', body: forged });
    expect(await client.closed()).toBe(1008);
  });

  it('closes a client whose acknowledgements fall, and not one that repeats itself', async () => {
    const client = await open();
    client.isAcking = false;
    for (const body of [1, 2, 3]) await client.request('echo/echo', body);
    for (const ack of [2, 2, 3, 3]) client.sendOwn({ topic: '$gate/ack', body: ack });
    expect(await client.request('echo/echo', 4)).toBe(4);
    client.sendOwn({ topic: '$gate/ack', body: 2 });
    expect(await client.closed()).toBe(1008);
  });

  it('closes a connection that has seen more than was sent; the session is unharmed', async () => {
    const client = await open();
    await client.request('echo/echo', 1);
    const thief = new ResumeClient(cluster.gate.url);
    Object.assign(thief, { clientId: client.clientId, ticket: client.ticket, seen: 2 });
    await thief.beginResume();
    expect(await thief.closed()).toBe(1008);
    expect(await client.request('echo/echo', 2)).toBe(2);
    client.cut();
    await client.resume();
    expect(await client.request('echo/echo', 3)).toBe(3);
    client.cut();
  });

  it('says how many frames it has accepted, at the latest after ackMs, without those over the rate', async () => {
    const client = await open();
    for (let i = 0; i < 10; i++) client.ask('echo/echo', i);
    await waitUntil('the ack', () => client.ownOf('ack').at(-1) === 10);
    // More than the rate allows: what is refused does not count.
    for (let i = 0; i < 200; i++) client.ask('echo/echo', i);
    await waitUntil('all answers', () => client.frames.length === 210);
    const refused = client.frames.filter(({ error }) => error?.code === 'RATE_LIMITED').length;
    expect(refused).toBeGreaterThan(0);
    client.cut();
    client.sent = 0;
    expect((await client.resume()).heard).toBe(210 - refused);
    client.cut();
  });

  it('acknowledges at once after ackEvery frames', async () => {
    const client = await open();
    for (let i = 0; i < 64; i++) client.send({ topic: 'echo/echo', body: i });
    await waitUntil('the ack', () => client.ownOf('ack').length > 0, 700);
    expect(client.ownOf('ack')).toEqual([64]);
    client.cut();
  });

  it('counts neither pings nor errors that belong to no request', async () => {
    const client = await open();
    client.sendOwn({ topic: '$gate/ping' });
    client.sendOwn({ topic: '$gate/nothing' });
    client.sendOwn({ topic: '$gate/ping', id: 9 });
    await client.answer(9);
    expect(client.own.map(({ topic }) => topic)).toEqual(['$gate/hello', '$gate/pong', '$gate/error']);
    expect(client.seen).toBe(1);
    client.cut();
    const resumed = await client.resume();
    expect([resumed.from, resumed.heard]).toEqual([2, 0]);
    client.cut();
  });

  it('marks how many frames it has sent, once for each change', async () => {
    const client = await open();
    for (const body of [1, 2, 3]) await client.request('echo/echo', body);
    await waitUntil('the mark', () => client.ownOf('mark').at(-1) === 3);
    const marks = client.ownOf('mark').length;
    await new Promise(resolve => setTimeout(resolve, 300));
    expect(client.ownOf('mark')).toHaveLength(marks);
    client.cut();
  });

  it('tells a client that the session of a gate that is gone is lost', async () => {
    const client = await open();
    for (const [session, code] of [
      ['other.k3.9x', 'RESUME_LOST'],
      [client.clientId.replace(/[^.]+$/, 'zzzz'), 'RESUME_UNKNOWN'],
      ['nonsense', 'RESUME_LOST'],
    ]) {
      const other = new ResumeClient(cluster.gate.url);
      await other.beginResume({ session, ticket: client.ticket });
      await other.greeted();
      expect(other.own.map(({ topic }) => topic)).toEqual(['$gate/refused', '$gate/hello']);
      expect(other.ownOf('refused')).toEqual([{ code, message: expect.any(String) }]);
      expect(other.clientId).not.toBe(session);
      expect(await other.request('echo/echo', 1)).toBe(1);
      other.cut();
    }
    client.cut();
  });

  it('refuses wrong tickets, counts them and closes an address with too many; the session is unharmed', async () => {
    const client = await open();
    const before = counters.get('resumes_refused', 'RESUME_DENIED');
    const codes: number[] = [];
    const wrong = client.ticket.startsWith('A') ? `B${client.ticket.slice(1)}` : `A${client.ticket.slice(1)}`;
    for (let i = 0; i < 60; i++) {
      const thief = new ResumeClient(cluster.gate.url);
      await thief.beginResume({ session: client.clientId, ticket: i % 2 ? wrong : 'x', seen: 0 });
      await waitUntil('the refusal', () => thief.ownOf('refused').length > 0);
      expect(thief.ownOf('refused')).toEqual([{ code: 'RESUME_DENIED', message: expect.any(String) }]);
      await waitUntil('the outcome', () => thief.closedWith ?? thief.greeting);
      codes.push(thief.closedWith?.code ?? 0);
      thief.sendOwn({ topic: '$gate/bye' });
      thief.cut();
    }
    expect(counters.get('resumes_refused', 'RESUME_DENIED') - before).toBe(60);
    expect(codes.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => 0));
    expect(codes.slice(-20)).toEqual(Array.from({ length: 20 }, () => 1008));
    expect(await client.request('echo/echo', 1)).toBe(1);
    client.cut();
    await client.resume();
    expect(await client.request('echo/echo', 2)).toBe(2);
    client.cut();
  });
});
