import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, Module, type Provider, type Type } from '@nestjs/common';
import {
  AgentLearner,
  Delegater,
  Gate,
  type GateModuleExtras,
  type GateOptions,
  HandshakeHandler,
  type IncomingPack,
  MemoryStorage,
  RecvPackHandler,
  resolveGateOptions,
  RouteHandler,
  SendMessageHook,
  SessionLearner,
  StorageHandler,
} from '@nestgate/gate';
import { BinaryClient, FakeClient, jsonOf, UpgradeRefused } from '@nestgate/testing';
import type { Session } from '@nestgate/worker';
import { outcomes, Stage } from '../support/gate-support.js';

/** What the parts below are given, to show that they are made by Nest. */
@Injectable()
class Ink {
  readonly notes: string[] = [];
}

@Injectable()
class MyAgents extends AgentLearner {
  constructor(private readonly ink: Ink) {
    super();
  }
  override connect(): void {
    this.ink.notes.push('agentLearner');
  }
  override disconnect(): void {}
}

@Injectable()
class MySessions extends SessionLearner {
  constructor(private readonly ink: Ink) {
    super();
  }
  override async onConnect(): Promise<void> {
    this.ink.notes.push('sessionLearner');
  }
  override onDisconnect(): void {}
}

@Injectable()
class MyStorage extends MemoryStorage {
  constructor(private readonly ink: Ink) {
    super();
  }
  override query(userId: string): ReturnType<MemoryStorage['query']> {
    this.ink.notes.push('storageHandler');
    return super.query(userId);
  }
}

@Injectable()
class MyRoute extends RouteHandler {
  constructor(private readonly ink: Ink) {
    super();
  }
  override onRoute(): boolean {
    this.ink.notes.push('routeHandler');
    return false;
  }
}

@Injectable()
class MyHook extends SendMessageHook {
  constructor(private readonly ink: Ink) {
    super();
  }
  override onSend(_session: Session, _topic: string, body: unknown): unknown {
    this.ink.notes.push('sendMessageHook');
    return body;
  }
}

@Injectable()
class MyPacks extends RecvPackHandler {
  constructor(private readonly ink: Ink) {
    super();
  }
  override onPack(_session: Session, pack: IncomingPack): void {
    this.ink.notes.push('recvPackHandler');
    pack.forward();
  }
}

@Injectable()
class MyHandshake extends HandshakeHandler {
  constructor(private readonly ink: Ink) {
    super();
  }
  override handshake(): void {
    this.ink.notes.push('handshakeHandler');
  }
}

const PARTS = {
  agentLearner: [AgentLearner, MyAgents],
  sessionLearner: [SessionLearner, MySessions],
  storageHandler: [StorageHandler, MyStorage],
  routeHandler: [RouteHandler, MyRoute],
  sendMessageHook: [SendMessageHook, MyHook],
  recvPackHandler: [RecvPackHandler, MyPacks],
  handshakeHandler: [HandshakeHandler, MyHandshake],
} as const;
type PartName = keyof typeof PARTS;
type Part = Type<object> & (new (ink: Ink) => object);
const ENTRIES = Object.entries(PARTS) as unknown as [PartName, [provide: Part, part: Part]][];

@Module({
  providers: [Ink, ...ENTRIES.map(([, [, part]]) => part)],
  exports: [Ink, ...ENTRIES.map(([, [, part]]) => part)],
})
class PartsModule {}

const FORMS: readonly [form: string, provider: (provide: Part, part: Part) => Provider][] = [
  ['a class', (provide, useClass) => ({ provide, useClass })],
  ['a factory', (provide, Made) => ({ provide, useFactory: (ink: Ink) => new Made(ink), inject: [Ink] })],
  ['an async factory', (provide, Made) => ({ provide, useFactory: async (ink: Ink) => new Made(ink), inject: [Ink] })],
  ['an existing provider', (provide, useExisting) => ({ provide, useExisting })],
];

let stage: Stage | undefined;
const gateOf = (opened: Stage): Gate => opened.cluster.gate.app.get(Gate);

async function open(gate: GateOptions & GateModuleExtras, workers = 0): Promise<Stage> {
  stage = await Stage.open(workers, gate);
  return stage;
}

afterEach(async () => {
  await stage?.close();
  stage = undefined;
});

describe('Gate', () => {
  it('options, delegater and the parts that nobody replaced', async () => {
    const opened = await open({ nodeId: 'g1' });
    const gate = gateOf(opened);
    expect(gate.delegater).toBe(opened.cluster.gate.app.get(Delegater));
    expect(gate.options).toMatchObject({ nodeId: 'g1', maxPackSize: 65_535 });
    for (const [name, [provide]] of ENTRIES) expect(gate[name]).toBeInstanceOf(provide);
    expect([gate.isReady, gate.wsPort, gate.tcpPort]).toEqual([true, undefined, undefined]);
    await opened.close();
    stage = undefined;
    expect(gate.isReady).toBe(false);
  });

  it.each(FORMS)('parts that are given as %s', async (_form, provider) => {
    for (const workers of [0, 1]) {
      const providers = ENTRIES.map(([, [provide, part]]) => provider(provide, part));
      const opened = await open({ imports: [PartsModule], providers }, workers);
      const gate = gateOf(opened);
      for (const [name, [, part]] of ENTRIES) expect(gate[name]).toBeInstanceOf(part);
      const client = await opened.cluster.connect();
      const session = await opened.sessionInHandler(client);
      await session.toBind('ada');
      await session.toSend('a/b', 1);
      await client.push('a/b');
      expect(opened.cluster.gate.app.get(Ink, { strict: false }).notes).toEqual([
        'handshakeHandler',
        'agentLearner',
        'sessionLearner',
        'recvPackHandler',
        'routeHandler',
        'storageHandler',
        'sendMessageHook',
      ]);
      await opened.close();
      stage = undefined;
    }
  });
});

describe('Options', () => {
  it('what is given is what counts, and cannot be changed', async () => {
    const given: GateOptions = {
      startupWait: 0,
      maxPackSize: 500,
      concurrentTasks: 1,
      login: 'refuse',
      ws: { path: '/x' },
    };
    const { options } = gateOf(await open(given));
    expect(options).toMatchObject(given);
    expect(options).toEqual({ ...resolveGateOptions(given), link: options.link });
    expect(Object.isFrozen(options)).toBe(true);
  });

  it('ws, tcp and maxPackSize act', async () => {
    const opened = await open({ ws: { port: 0, path: '/own' }, tcp: { port: 0, codec: 'frame' }, maxPackSize: 100 });
    const { wsPort, tcpPort } = gateOf(opened);
    const ws = await FakeClient.connect(`ws://127.0.0.1:${wsPort}/own`);
    await expect(FakeClient.connect(`ws://127.0.0.1:${wsPort}/gate`)).rejects.toMatchObject(new UpgradeRefused(404));
    const tcp = await BinaryClient.overTcp(tcpPort as number, { codec: 'frame' });
    expect(await ws.request('script/note', 'x')).toBe('x');
    expect(jsonOf({ body: await tcp.request('script/note', { n: 1 }) })).toEqual({ n: 1 });
    ws.send('script/note', 'x'.repeat(100));
    expect((await ws.closed).code).toBe(1009);
    tcp.send('script/note', 'x'.repeat(100));
    await tcp.closed;
  });

  it('overTime and heartOverTimer act', async () => {
    const learner = { onConnect: () => new Promise<never>(() => undefined), onDisconnect: () => undefined };
    const providers = [{ provide: SessionLearner, useValue: learner }];
    const slow = await open({ overTime: 300, providers });
    expect((await (await slow.cluster.connect()).closed).code).toBe(1011);
    await slow.close();
    const quick = await open({ tcp: { port: 0 }, pingInterval: 100, heartOverTimer: 800 });
    const client = await quick.cluster.connect();
    const silent = await BinaryClient.overTcp(gateOf(quick).tcpPort as number);
    await silent.closed;
    expect(await client.request('script/note', 'answers pings')).toBe('answers pings');
  });

  it('concurrentTasks bounds what of one client is handled at once', async () => {
    const opened = await open({ concurrentTasks: 3, providers: [] }, 1);
    const client = await opened.cluster.connect();
    const held: (() => void)[] = [];
    opened.script.run = () => new Promise<void>(resolve => held.push(resolve));
    const ids = Array.from({ length: 5 }, () => client.ask('script/run'));
    const agent = opened.delegater.getAgent(client.clientId);
    for (const id of ids) {
      while (held.length === 0) await new Promise(resolve => setImmediate(resolve));
      expect(agent.unansweredCount).toBeLessThanOrEqual(3);
      held.shift()?.();
      await client.answer(id);
    }
    expect(agent.unansweredCount).toBe(0);
  });

  it('what cannot be stops the start, and says why', async () => {
    const bad: (GateOptions & Record<string, unknown>)[] = [
      { maxPackSize: 0 },
      { nonsense: 1 },
      { tcp: { port: 70_000 } },
      { encryptKey: '' },
      { tcp: { port: 0, codec: 'none' } },
    ];
    expect(await outcomes(bad.map(options => Stage.open(0, options)))).toEqual(bad.map(() => 'BAD_ARGUMENT'));
    const tls = { certFile: '/nowhere/cert.pem', keyFile: '/nowhere/key.pem' };
    await expect(Stage.open(0, { tls, tcp: { port: 0 } })).rejects.toThrow('tls.certFile');
    await expect(Stage.open(0, { tls, ws: { port: 0 } })).rejects.toThrow('tls.certFile');
  });
});
