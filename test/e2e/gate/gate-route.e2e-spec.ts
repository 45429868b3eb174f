import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { ForbiddenException, Logger } from '@nestjs/common';
import { RpcException } from '@nestjs/microservices';
import { Gate, type IncomingPack, RecvPackHandler, RouteHandler } from '@nestgate/gate';
import { GateError } from '@nestgate/protocol';
import { BinaryClient, jsonOf, type TestClusterOptions, waitUntil } from '@nestgate/testing';
import type { Session } from '@nestgate/worker';
import { Stage, turns } from '../support/gate-support.js';

/** A `RouteHandler` that does what a test wants, and notes what it saw. */
class ScriptedRoute extends RouteHandler {
  readonly seen: unknown[] = [];
  script: (session: Session, topic: string, body: unknown) => boolean | Promise<boolean> = () => false;

  override onRoute(session: Session, topic: string, body: unknown): boolean | Promise<boolean> {
    this.seen.push([topic, body]);
    return this.script(session, topic, body);
  }
}

/** The same for packs. */
class ScriptedRecv extends RecvPackHandler {
  readonly seen: unknown[] = [];
  script: (session: Session, pack: IncomingPack) => void | Promise<void> = (_session, pack) => pack.forward();

  override onPack(session: Session, pack: IncomingPack): void | Promise<void> {
    const { topic, body, id } = pack;
    this.seen.push({ topic, body, id });
    return this.script(session, pack);
  }
}

let stage: Stage;
let route: ScriptedRoute;
let recv: ScriptedRecv;

async function open(workers: number, gate: TestClusterOptions['gate'] = {}): Promise<void> {
  route = new ScriptedRoute();
  recv = new ScriptedRecv();
  const providers = [
    { provide: RouteHandler, useValue: route },
    { provide: RecvPackHandler, useValue: recv },
  ];
  stage = await Stage.open(workers, { providers, ...gate });
}

afterEach(async () => {
  jest.restoreAllMocks();
  await stage.close();
});

/** What may be thrown, and what the client is told. */
const ERRORS: readonly [what: string, error: () => Error, told: { code: string; message: string }][] = [
  ['a GateError', () => new GateError('FORBIDDEN', 'Muted'), { code: 'FORBIDDEN', message: 'Muted' }],
  ['an HttpException', () => new ForbiddenException('No'), { code: 'FORBIDDEN', message: 'No' }],
  ['an RpcException', () => new RpcException({ code: 'MUTED', message: 'Hush' }), { code: 'MUTED', message: 'Hush' }],
  ['any other error', () => new Error('a secret'), { code: 'INTERNAL', message: 'Internal server error' }],
];

describe.each([0, 1])('with %d workers', workers => {
  describe('RouteHandler', () => {
    it('onRoute sees session, topic and body; what it lets pass goes its way', async () => {
      await open(workers);
      const client = await stage.cluster.connect();
      let clientId: string | undefined;
      route.script = session => ((clientId = session.sessionId), false);
      expect(await client.request('script/note', { n: 1 })).toEqual({ n: 1 });
      expect([clientId, route.seen]).toEqual([client.clientId, [['script/note', { n: 1 }]]]);
    });

    it('true consumes: no handler runs, and a request is answered with null', async () => {
      await open(workers);
      const client = await stage.cluster.connect();
      route.script = async (session, _topic, body) => {
        await turns(2);
        await session.toSet('consumed', body as number);
        return true;
      };
      client.send('script/note', 1);
      expect(await client.exchange('script/note', 2)).toEqual({ id: 1, body: null });
      route.script = () => false;
      expect((await stage.sessionInHandler(client)).get('consumed')).toBe(2);
      expect(stage.script.seen).toEqual([]);
    });

    it.each(ERRORS)('%s becomes a coded error to that client, which stays connected', async (_what, error, told) => {
      jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
      await open(workers);
      const client = await stage.cluster.connect();
      for (const script of [() => fail(error()), () => Promise.reject(error())]) {
        route.script = script;
        for (let i = 0; i < 12; i++) expect((await client.exchange('script/note', i)).error).toEqual(told);
        client.send('script/note', 'no id');
      }
      await waitUntil('both errors', () => client.pushes('$gate/error').length === 2);
      for (const { body } of client.pushes('$gate/error')) expect(body).toEqual({ ...told, topic: 'script/note' });
      route.script = () => false;
      expect(await client.request('script/note', 'on')).toBe('on');
      expect(stage.script.seen).toEqual(['on']);
    });

    it('one that takes its time keeps the order of a client’s frames, and no other client waits', async () => {
      await open(workers);
      const slow = await stage.cluster.connect();
      const quick = await stage.cluster.connect();
      let go: () => void = () => undefined;
      const held = new Promise<void>(resolve => (go = resolve));
      route.script = async (_session, _topic, body) => {
        if (body === 'held') await held;
        else await turns(10 - Number(body));
        return false;
      };
      const ids = ['held', 1, 5, 9].map(body => slow.ask('script/note', body));
      expect(await quick.request('script/note', 3)).toBe(3);
      go();
      await slow.answer(ids.at(-1) as number);
      expect(stage.script.seen).toEqual([3, 'held', 1, 5, 9]);
    });
  });

  describe('RecvPackHandler', () => {
    it('onPack may forward, answer, or do neither', async () => {
      await open(workers);
      const client = await stage.cluster.connect();
      recv.script = async (_session, pack) => {
        await turns(1);
        if (pack.body === 'answer') pack.reply({ at: 1 });
        else if (pack.body !== 'drop') pack.forward();
        pack.reply('too late');
      };
      expect(await client.exchange('script/note', 'answer')).toEqual({ id: 1, body: { at: 1 } });
      recv.script = (_session, pack) => (pack.body === 'drop' ? undefined : pack.forward());
      expect(await client.exchange('script/note', 'drop')).toEqual({ id: 2, body: null });
      expect(await client.exchange('script/note', 'go')).toEqual({ id: 3, body: 'go' });
      expect(stage.script.seen).toEqual(['go']);
      expect(route.seen).toEqual([['script/note', 'go']]);
    });

    it.each(ERRORS)('%s becomes a coded error to that client, which stays connected', async (_what, error, told) => {
      jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
      await open(workers);
      const client = await stage.cluster.connect();
      recv.script = (_session, pack) => {
        pack.forward();
        throw error();
      };
      expect((await client.exchange('script/note', 1)).error).toEqual(told);
      recv.script = (_session, pack) => pack.forward();
      expect(await client.request('script/note', 2)).toBe(2);
      expect(stage.script.seen).toEqual([2]);
    });

    it('one that takes its time keeps the order of a client’s frames', async () => {
      await open(workers);
      const client = await stage.cluster.connect();
      recv.script = async (_session, pack) => {
        await turns(20 - 2 * Number(pack.body));
        pack.forward();
      };
      const ids = Array.from({ length: 10 }, (_, n) => client.ask('script/note', n));
      for (const id of ids) await client.answer(id);
      expect(stage.script.seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    });
  });

  it.each(['RecvPackHandler', 'RouteHandler'])(
    'a %s that never ends is left behind after requestTimeout',
    async part => {
      const warned = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
      await open(workers, { requestTimeout: 150 });
      const client = await stage.cluster.connect();
      const never = (): Promise<never> => new Promise(() => undefined);
      if (part === 'RouteHandler') route.script = never;
      else recv.script = never;
      const stuck = client.ask('script/note', 'stuck');
      const next = client.ask('script/run', 'next');
      expect((await client.answer(stuck)).error?.code).toBe('TIMEOUT');
      route.script = () => false;
      recv.script = (_session, pack) => pack.forward();
      await client.answer(next);
      expect(await client.request('script/note', 'on')).toBe('on');
      expect(stage.script.seen).toEqual(['on']);
      expect(warned.mock.calls.map(String)).toContainEqual(expect.stringContaining(part));
    },
  );
});

describe('Pack', () => {
  it('topic, body and id: as the client sent them; id 0 without one', async () => {
    await open(0);
    const client = await stage.cluster.connect();
    client.send('script/note', [1, 'é', { a: null }]);
    client.sendRaw('{ "id": 7, "topic": "script/note" }');
    await client.answer(7);
    expect(recv.seen).toEqual([
      { topic: 'script/note', body: [1, 'é', { a: null }], id: 0 },
      { topic: 'script/note', body: undefined, id: 7 },
    ]);
  });

  it('of a pack client: bytes, no id; an answer goes back on the same topic', async () => {
    await open(0, { tcp: { port: 0 } });
    const client = await BinaryClient.overTcp(stage.cluster.gate.app.get(Gate).tcpPort as number);
    recv.script = (_session, pack) => pack.reply({ got: (pack.body as Buffer).toString() });
    client.send('time/now', 'hi');
    expect(jsonOf(await client.push('time/now'))).toEqual({ got: 'hi' });
    expect(recv.seen).toEqual([{ topic: 'time/now', body: Buffer.from('hi'), id: 0 }]);
    recv.script = (_session, { topic }) => (topic === 'time/no' ? fail(new GateError('FORBIDDEN')) : undefined);
    client.send('time/none');
    client.send('time/no');
    expect(jsonOf(await client.push('$gate/error'))).toMatchObject({ code: 'FORBIDDEN', topic: 'time/no' });
    expect(client.pushes('time/none')).toEqual([]);
    client.destroy();
  });
});

function fail(error: Error): never {
  throw error;
}
