import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { LinkNode } from '@nestgate/link';
import { type Body, BodyKind, GateError, JsonText } from '@nestgate/protocol';
import type { Session } from '@nestgate/worker';
import type { ClientAgent } from '../client/client-agent.js';
import type { Wire } from '../codec/wire.js';
import { GateCounters } from '../gate-counters.js';
import { OpenSendMessageHook, SendMessageHook } from '../hooks/pack-hooks.js';
import { resolveGateOptions } from '../resolve-gate-options.js';
import { Pusher } from './pusher.js';

const REQUEST_MS = 1_000;
const TOPIC = 'news/new';

/** A wire that counts how often it encodes. */
class FakeWire {
  encoded = 0;

  constructor(readonly name: string) {}

  push(topic: string, body: Body): Uint8Array {
    this.encoded++;
    return Buffer.from(`${this.name} ${topic} ${Buffer.from(body.bytes).toString()}`);
  }
}

/** A client that takes what it may. */
class FakeAgent {
  readonly got: string[] = [];
  readonly session: Session;
  takes = true;
  mayMake = true;
  /** The body sizes of the messages that are made for it. */
  readonly deferred: number[] = [];

  constructor(
    name: string,
    readonly wire: Wire,
  ) {
    this.session = { sessionId: name } as Session;
  }

  sendFrame(frame: Uint8Array | undefined): boolean {
    if (this.takes && frame) this.got.push(Buffer.from(frame).toString());
    return this.takes;
  }

  pushBody(topic: string, body: Body): boolean {
    return this.sendFrame(this.wire.push(topic, body));
  }

  mayDefer(): boolean {
    return this.mayMake;
  }

  deferFrame(making: Promise<Uint8Array | undefined>, bytes: number): boolean {
    this.deferred.push(bytes);
    making.then(frame => frame && this.sendFrame(frame)).catch(() => undefined);
    return true;
  }
}

class Hook extends SendMessageHook {
  constructor(private readonly run: (name: string, body: unknown) => unknown) {
    super();
  }

  override onSend({ sessionId }: Session, _topic: string, body: unknown): unknown {
    return this.run(sessionId, body);
  }
}

describe('Pusher', () => {
  let counters: GateCounters;
  let pusher: Pusher;
  const wire = { json: new FakeWire('json'), packs: new FakeWire('packs') };
  const json = (value: unknown): Body => new JsonText(JSON.stringify(value));

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
    // What hooks throw is logged.
    Logger.overrideLogger(false);
    for (const each of Object.values(wire)) each.encoded = 0;
    start(new OpenSendMessageHook());
  });
  afterEach(() => {
    pusher.onApplicationShutdown();
    jest.useRealTimers();
  });

  function start(hook: SendMessageHook): void {
    counters = new GateCounters();
    // The part of a node that the pusher uses.
    const node = { defects: { report: () => undefined } } as unknown as LinkNode;
    pusher = new Pusher(hook, counters, resolveGateOptions({ requestTimeout: REQUEST_MS }), node);
  }
  const agent = (name: string, kind: keyof typeof wire = 'json') => new FakeAgent(name, wire[kind] as unknown as Wire);
  const push = (targets: FakeAgent[], body: Body, except?: FakeAgent): number =>
    pusher.push(
      targets as unknown as ClientAgent[],
      TOPIC,
      body,
      except && new Set([except as unknown as ClientAgent]),
    );
  const dropped = (why: string): number => counters.get('packs_dropped', why);
  const settled = () => jest.advanceTimersByTimeAsync(0);

  it('encodes once for each kind of client, in whatever order they come', () => {
    const clients = [agent('a'), agent('b', 'packs'), agent('c'), agent('d', 'packs')];
    expect(push(clients, json(1))).toBe(4);
    expect([wire.json.encoded, wire.packs.encoded]).toEqual([1, 1]);
    expect(clients.map(({ got }) => got)).toEqual([
      ['json news/new 1'],
      ['packs news/new 1'],
      ['json news/new 1'],
      ['packs news/new 1'],
    ]);
  });

  it('encodes nothing for nobody', () => {
    expect([push([], json(1)), wire.json.encoded]).toEqual([0, 0]);
  });

  it('sends to all but the excepted ones, and counts those that have taken it', () => {
    const [a, b, c] = [agent('a'), agent('b'), agent('c')];
    c.takes = false;
    expect(push([a, b, c], json(1), b)).toBe(1);
    expect([a.got.length, b.got.length, c.got.length]).toEqual([1, 0, 0]);
  });

  it('sends a topic that would break a frame to nobody', () => {
    const a = agent('a');
    for (const topic of ['', 'a b', 'a"b', 'a\nb']) {
      const refused = expect.objectContaining({ code: 'BAD_TOPIC' });
      expect(() => pusher.push([a] as unknown as ClientAgent[], topic, json(1))).toThrow(refused);
      expect(() => pusher.pushOne(a as unknown as ClientAgent, topic, json(1))).toThrow(refused);
    }
    expect([a.got, dropped('topic')]).toEqual([[], 8]);
  });

  it('sends to one client', () => {
    const a = agent('a');
    expect(pusher.pushOne(a as unknown as ClientAgent, TOPIC, json(1))).toBe(true);
    a.takes = false;
    expect(pusher.pushOne(a as unknown as ClientAgent, TOPIC, json(1))).toBe(false);
    expect(a.got).toEqual(['json news/new 1']);
  });

  describe('with a hook', () => {
    it('sends each client what the hook makes for it', () => {
      start(new Hook((name, body) => (name === 'a' ? body : { for: name, ...(body as object) })));
      const [a, b] = [agent('a'), agent('b')];
      expect(push([a, b], json({ x: 1 }))).toBe(2);
      expect([a.got, b.got]).toEqual([['json news/new {"x":1}'], ['json news/new {"for":"b","x":1}']]);
    });

    it('lets no hook change what the next client gets', () => {
      start(
        new Hook((name, body) => {
          const deep = (body as { list: { x: number }[] }).list[0] as { x: number };
          if (name === 'a') deep.x = 2;
          return body;
        }),
      );
      const [a, b] = [agent('a'), agent('b')];
      // The body is frozen: what writes into it throws, and refuses the push for this client.
      expect(push([a, b], json({ list: [{ x: 1 }] }))).toBe(1);
      expect([a.got, b.got, dropped('hook')]).toEqual([[], ['json news/new {"list":[{"x":1}]}'], 1]);
    });

    it('gives each client bytes of its own', () => {
      start(
        new Hook((name, body) => {
          if (name === 'a') (body as Buffer).write('XX');
          return body;
        }),
      );
      const [a, b] = [agent('a', 'packs'), agent('b', 'packs')];
      const bytes = Buffer.from('bytes');
      push([a, b], { kind: BodyKind.bytes, bytes });
      expect([a.got, b.got, bytes.toString()]).toEqual([['packs news/new XXtes'], ['packs news/new bytes'], 'bytes']);
    });

    it('refuses a push for the client that it throws for, and sends it to the others', () => {
      const mean = () => {
        throw new GateError('FORBIDDEN');
      };
      start(new Hook((name, body) => (name === 'a' ? mean() : body)));
      const [a, b] = [agent('a'), agent('b')];
      expect([push([a, b], json(1)), a.got, b.got.length, dropped('hook')]).toEqual([1, [], 1, 1]);
    });

    it('refuses a push for which it gives nothing that can be sent', () => {
      start(new Hook(() => () => undefined));
      const a = agent('a');
      expect([push([a], json(1)), a.got, dropped('hook')]).toEqual([0, [], 1]);
    });

    it('sends what a promise of it comes to, and counts the bytes of the body until then', async () => {
      start(new Hook(async (name, body) => ({ name, body })));
      const a = agent('a');
      expect([push([a], json('four')), a.got, a.deferred]).toEqual([1, [], ['"four"'.length]]);
      await settled();
      expect(a.got).toEqual(['json news/new {"name":"a","body":"four"}']);
    });

    it('gives up a promise after requestTimeout, and sends nothing for it', async () => {
      start(new Hook(() => new Promise(() => undefined)));
      const a = agent('a');
      push([a], json(1));
      await jest.advanceTimersByTimeAsync(REQUEST_MS - 100);
      expect(dropped('hook')).toBe(0);
      await jest.advanceTimersByTimeAsync(200);
      expect([a.got, dropped('hook')]).toEqual([[], 1]);
    });

    it('does not begin for a client for which too much is being made already', () => {
      const asked: string[] = [];
      start(new Hook((name, body) => (asked.push(name), body)));
      const [full, free] = [agent('full'), agent('free')];
      full.mayMake = false;
      expect([push([full, free], json(1)), asked]).toEqual([1, ['free']]);
    });

    it('is asked for a push to one client too', () => {
      start(new Hook(() => 'other'));
      const a = agent('a');
      expect(pusher.pushOne(a as unknown as ClientAgent, TOPIC, json(1))).toBe(true);
      expect(a.got).toEqual(['json news/new "other"']);
    });
  });
});
