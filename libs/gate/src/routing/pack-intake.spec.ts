import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { LinkNode } from '@nestgate/link';
import { SocketFastPath } from '@nestgate/link/internal';
import { type Body, BodyKind, type ErrorBody, GateError, JsonText, NO_BODY } from '@nestgate/protocol';
import type { Session } from '@nestgate/worker';
import type { ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import {
  ForwardingRecvPackHandler,
  type IncomingPack,
  OpenRouteHandler,
  RecvPackHandler,
  RouteHandler,
} from '../hooks/pack-hooks.js';
import { resolveGateOptions } from '../resolve-gate-options.js';
import { PackIntake } from './pack-intake.js';
import type { TopicRouter } from './topic-router.js';

const REQUEST_MS = 1_000;

class Receiver extends RecvPackHandler {
  constructor(private readonly run: (pack: IncomingPack) => void | Promise<void>) {
    super();
  }

  override onPack(_session: Session, pack: IncomingPack): void | Promise<void> {
    return this.run(pack);
  }
}

class Route extends RouteHandler {
  constructor(private readonly run: (topic: string, body: unknown) => boolean | Promise<boolean>) {
    super();
  }

  override onRoute(_session: Session, topic: string, body: unknown): boolean | Promise<boolean> {
    return this.run(topic, body);
  }
}

/** The parts of an agent that the intake uses; it notes what is done to it. */
class FakeAgent {
  readonly story: string[] = [];
  readonly counters = new GateCounters();
  readonly session = {} as Session;
  isClosed = false;
  unansweredCount = 0;
  readonly wire = {
    frame: { topic: 'chat/say', body: NO_BODY as Body, id: 1 },
    pushesResults: false,
    reply: (id: number, { bytes }: Body) => Buffer.from(`reply ${id} ${Buffer.from(bytes).toString()}`),
  };

  block = (): void => void this.story.push('block');
  unblock = (): void => void this.story.push('unblock');
  refuseBadFrame = (): void => void this.story.push('bad frame');
  onDefect = (error: unknown): void => void this.story.push(`defect ${String(error)}`);
  pushBody = (topic: string, { bytes }: Body): boolean => {
    this.story.push(`push ${topic} ${Buffer.from(bytes).toString()}`);
    return true;
  };

  beginRequest(id: number): void {
    this.unansweredCount++;
    this.story.push(`begin ${id}`);
  }

  endRequest(id: number): void {
    this.unansweredCount--;
    this.story.push(`end ${id}`);
  }

  restartRequest(id: number, then: () => void): void {
    this.unansweredCount--;
    this.story.push(`end ${id}`);
    then();
  }

  sendFrame(frame: Uint8Array | undefined): boolean {
    this.story.push(Buffer.from(frame ?? []).toString());
    return true;
  }

  sendError(id: number, { code }: ErrorBody): void {
    this.story.push(`error ${id} ${code}`);
  }

  failFrame(id: number, _topic: string, error: unknown, wasBegun: boolean): void {
    this.story.push(`failed ${id} ${String(error)} ${wasBegun ? 'begun' : 'not begun'}`);
  }
}

describe('PackIntake', () => {
  let agent: FakeAgent;
  let intake: PackIntake;
  /** What the router does with a frame. */
  let route: (topic: string, body: Body, id: number, arrivedAt: number) => void;

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
    // What hooks throw is logged.
    Logger.overrideLogger(false);
    agent = new FakeAgent();
    route = (topic, _body, id) => void agent.story.push(`route ${topic} ${id}`);
  });
  afterEach(() => {
    intake.onApplicationShutdown();
    jest.useRealTimers();
  });

  function start(hooks: { recv?: RecvPackHandler; route?: RouteHandler } = {}): void {
    const router = {
      route: (_agent: ClientAgent, topic: string, body: Body, id: number, at: number) => route(topic, body, id, at),
    } as unknown as TopicRouter;
    const node = { defects: { report: () => undefined } } as unknown as LinkNode;
    intake = new PackIntake(
      router,
      hooks.recv ?? new ForwardingRecvPackHandler(),
      hooks.route ?? new OpenRouteHandler(),
      resolveGateOptions({ requestTimeout: REQUEST_MS }),
      new SocketFastPath(false),
      node,
    );
  }

  /** The agent's wire has decoded a frame. */
  function take(body: Body = new JsonText('{"x":1}'), id = 1): void {
    agent.wire.frame = { topic: 'chat/say', body, id };
    intake.take(agent as unknown as ClientAgent);
  }
  const settled = (ms = 0): Promise<void> => jest.advanceTimersByTimeAsync(ms);
  /** What happens to a frame that waits for hooks, around what they decide. */
  const around = (...story: string[]): string[] => ['begin 1', 'block', 'end 1', ...story, 'unblock'];

  it('routes at once, and parses nothing, without hooks', () => {
    start();
    take(new JsonText('no json'));
    expect(agent.story).toEqual(['route chat/say 1']);
  });

  it('holds the frames behind one that waits for a hook, and routes it with the time when it came', async () => {
    let forward = (): void => undefined;
    start({ recv: new Receiver(pack => new Promise(resolve => (forward = () => resolve(pack.forward())))) });
    const cameAt = performance.now();
    let routedAt = 0;
    route = (_topic, _body, _id, arrivedAt) => void (routedAt = arrivedAt);
    take();
    await settled(300);
    expect(agent.story).toEqual(['begin 1', 'block']);
    forward();
    await settled();
    expect([agent.story, routedAt]).toEqual([around(), cameAt]);
  });

  it('refuses what is not JSON before a hook sees it', async () => {
    let seen = 0;
    start({ recv: new Receiver(() => void seen++) });
    take(new JsonText('{'));
    await settled();
    expect([agent.story, seen]).toEqual([['bad frame'], 0]);
  });

  it.each<[string, Body, unknown]>([
    ['JSON', new JsonText('{"x":1}'), { x: 1 }],
    ['bytes', { kind: BodyKind.bytes, bytes: Buffer.from('ab') }, Buffer.from('ab')],
    ['nothing', NO_BODY, undefined],
  ])('shows a hook the value of a body of %s', async (_kind, body, value) => {
    let seen: unknown = 'none';
    start({ recv: new Receiver(pack => void (seen = pack.body)) });
    take(body);
    await settled();
    expect(seen).toEqual(value);
  });

  it('answers what a hook neither forwards nor answers with nothing, and as a push only where there is something', async () => {
    start({ recv: new Receiver(() => undefined) });
    take();
    await settled();
    expect(agent.story).toEqual(around('reply 1 '));
    agent.story.length = 0;
    agent.wire.pushesResults = true;
    take(undefined, 0);
    await settled();
    expect(agent.story).toEqual(['begin 0', 'block', 'end 0', 'unblock']);
    expect(agent.counters.framesHandled).toBe(2);
  });

  it('takes the first decision of a hook', async () => {
    start({
      recv: new Receiver(pack => {
        pack.reply({ y: 2 });
        pack.forward();
        pack.reply('late');
      }),
    });
    take();
    await settled();
    expect(agent.story).toEqual(around('reply 1 {"y":2}'));
  });

  it('sends an answer without an id as a push, to clients that have no ids', async () => {
    start({ recv: new Receiver(pack => pack.reply('hi')) });
    take(undefined, 0);
    await settled();
    agent.wire.pushesResults = true;
    take(undefined, 0);
    await settled();
    expect(agent.story.filter(each => each.startsWith('push'))).toEqual(['push chat/say "hi"']);
  });

  it.each([
    ['a coded error', new GateError('FORBIDDEN'), 'FORBIDDEN'],
    ['any other error', new Error('a secret'), 'INTERNAL'],
  ])('answers with %s that a hook throws, also after it has decided', async (_what, error, code) => {
    start({
      recv: new Receiver(pack => {
        pack.forward();
        throw error;
      }),
    });
    take();
    await settled();
    expect(agent.story).toEqual(around(`error 1 ${code}`));
  });

  it('answers with TIMEOUT when a hook does not end, and takes nothing of it later', async () => {
    let forward = (): void => undefined;
    start({ recv: new Receiver(pack => new Promise(resolve => (forward = () => resolve(pack.forward())))) });
    take();
    await settled(REQUEST_MS + 100);
    expect(agent.story).toEqual(around('error 1 TIMEOUT'));
    forward();
    await settled();
    expect(agent.story).toHaveLength(5);
  });

  it('does nothing more for a client that has gone meanwhile, and counts its frame', async () => {
    start({ recv: new Receiver(pack => pack.forward()) });
    take();
    agent.isClosed = true;
    await settled();
    expect(agent.story).toEqual(['begin 1', 'block']);
    expect(agent.counters.get('frames_abandoned', 'client_gone')).toBe(1);
  });

  it('asks the route hook for what is forwarded, and for nothing else', async () => {
    const asked: unknown[] = [];
    const open = new Route((topic, body) => (asked.push([topic, body]), false));
    start({ recv: new Receiver(pack => pack.reply(1)), route: open });
    take();
    await settled();
    expect(asked).toEqual([]);
    start({ route: open });
    take();
    await settled();
    expect(asked).toEqual([['chat/say', { x: 1 }]]);
    expect(agent.story.slice(-3)).toEqual(['end 1', 'route chat/say 1', 'unblock']);
  });

  it('routes nothing that the route hook has dealt with', async () => {
    start({ route: new Route(async () => true) });
    take();
    await settled();
    expect(agent.story).toEqual(around('reply 1 '));
  });

  it.each([
    ['before', 0, 'not begun'],
    ['after', 1, 'begun'],
  ])('ends the frame when the router fails %s it was begun, and no other', async (_when, begins, begun) => {
    start({ recv: new Receiver(pack => pack.forward()) });
    agent.unansweredCount = 3;
    route = () => {
      agent.unansweredCount += begins;
      throw new Error('a defect');
    };
    take();
    await settled();
    expect(agent.story).toEqual(around(`failed 1 Error: a defect ${begun}`));
  });

  it('closes the client when what it answers fails', async () => {
    start({ recv: new Receiver(pack => pack.reply(1)) });
    agent.sendFrame = () => {
      throw new Error('a defect');
    };
    take();
    await settled();
    expect(agent.story.at(-1)).toBe('defect Error: a defect');
  });
});
