import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type NodeInfo, Peer, type PeerChange } from '@nestgate/link';
import { NO_BODY } from '@nestgate/protocol';
import type { ClientAgent } from '../connection/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import { UsualWorkerChoice } from '../hooks/worker-choice.js';
import { resolveGateOptions } from '../resolve-gate-options.js';
import { SessionState } from '../session/session-state.js';
import type { StartupWindow } from './startup-window.js';
import { TopicRouter } from './topic-router.js';
import { MAX_WAITING } from './waiting-room.js';
import { WorkerDirectory } from './worker-directory.js';

/** A node whose peers a test adds and removes; it notes whom it has told something. */
class FakeNode {
  readonly peers = new Map<string, Peer>();
  readonly told: Peer[] = [];
  readonly asked: Peer[] = [];
  private readonly listeners: ((change: PeerChange) => void)[] = [];

  onPeer(listener: (change: PeerChange) => void): () => void {
    this.listeners.push(listener);
    return () => undefined;
  }

  notify(peer: Peer): void {
    this.told.push(peer);
  }

  request(peer: Peer): void {
    this.asked.push(peer);
  }

  join(id: string, epoch: string, modules: readonly string[] = ['chat']): Peer {
    const info: NodeInfo = { id, epoch, role: 'worker', modules, draining: false };
    // Nothing is asked of it here.
    const peer = new Peer(info, false, { nextSeries: () => 1 } as never);
    this.peers.set(id, peer);
    this.changed({ type: 'join', node: peer.info });
    return peer;
  }

  drain(peer: Peer): void {
    peer.info = { ...peer.info, draining: true };
    this.changed({ type: 'change', node: peer.info });
  }

  leave({ info }: Peer): void {
    this.peers.delete(info.id);
    this.changed({ type: 'leave', id: info.id });
  }

  private changed(change: PeerChange): void {
    for (const listener of this.listeners) listener(change);
  }
}

describe('TopicRouter', () => {
  let node: FakeNode;
  let directory: WorkerDirectory;
  let router: TopicRouter;
  const startup = { modulesKnownAt: 0 };
  const counters = new GateCounters();
  let serial = 0;

  beforeEach(() => {
    node = new FakeNode();
    // The parts of a node that the router uses.
    directory = new WorkerDirectory(node as never);
    router = new TopicRouter(
      node as never,
      directory,
      new UsualWorkerChoice(),
      startup as StartupWindow,
      resolveGateOptions({ workerWait: 60_000 }),
    );
  });

  /** The parts of an agent that the router uses. */
  function client(): ClientAgent {
    const origin = {
      sessionId: `g.e.${++serial}`,
      serverId: 'g',
      ip: '',
      network: 'ws',
      connectedAt: 0,
      traceParent: '',
    };
    const none = (): void => undefined;
    const agent = {
      serial,
      sessionState: new SessionState(origin, 1_000),
      counters,
      wire: { pushesResults: false },
      unansweredCount: 0,
      waitSpentUntil: 0,
      workerVersion: 0,
      worker: undefined,
      otherWorkers: undefined,
      block: none,
      unblock: none,
      beginRequest: none,
    };
    return agent as unknown as ClientAgent;
  }

  const say = (agent: ClientAgent): void => router.route(agent, 'chat/say', NO_BODY, 1, performance.now());

  it('reads no more of a client while much waits for its worker', async () => {
    const peer = node.join('w1', 'e1');
    let blocks = 0;
    const agent = Object.assign(client(), { block: () => blocks++, unblock: () => blocks-- });
    const fill = (bytes: number) => {
      peer.backlog.push({ frame: Buffer.alloc(0), bytes, messages: 1, lastRequest: undefined });
      peer.congestion.begin();
    };
    const drain = async () => {
      peer.backlog.clear();
      peer.congestion.end();
      await Promise.resolve();
    };
    fill(4 * 1024 * 1024);
    say(agent);
    expect(blocks).toBe(0);

    fill(1);
    say(agent);
    expect(blocks).toBe(1);
    const drained = drain();
    // Another client is faster.
    fill(5 * 1024 * 1024);
    await drained;
    expect(blocks).toBe(1);
    await drain();
    expect(blocks).toBe(0);
    expect(node.asked).toHaveLength(2);
  });

  describe('a frame of a module that nobody has announced', () => {
    const route = () => {
      const refused: string[] = [];
      const agent = Object.assign(client(), {
        sendError: (_id: number, { code }: { code: string }) => refused.push(code),
        endRequest: () => undefined,
      });
      router.route(agent, 'chat/say', NO_BODY, 1, performance.now());
      return refused;
    };
    afterEach(() => {
      startup.modulesKnownAt = 0;
      router.onApplicationShutdown();
    });

    it('has no route', () => {
      expect(route()).toEqual(['NO_ROUTE']);
      expect(router.waitingCount).toBe(0);
    });

    it('waits for its worker right after the start of the gate', () => {
      startup.modulesKnownAt = performance.now() + 60_000;
      expect(route()).toEqual([]);
      expect(router.waitingCount).toBe(1);
      const worker = node.join('w', 'e');
      expect(node.asked).toEqual([worker]);
      expect(router.waitingCount).toBe(0);
    });

    it('has no route when none has come in that time', async () => {
      startup.modulesKnownAt = performance.now() + 50;
      const refused = route();
      const end = performance.now() + 5_000;
      while (refused.length === 0 && performance.now() < end) await new Promise(resolve => setTimeout(resolve, 20));
      expect(refused).toEqual(['NO_ROUTE']);
    });
  });

  it('forgets with a worker that it is one of a client, and tells only those that are there of its end', () => {
    const agent = client();
    let worker = node.join('w0', 'e0');
    say(agent);
    for (let restart = 1; restart <= 30; restart++) {
      const next = node.join(`w${restart}`, 'e');
      node.drain(worker);
      say(agent);
      expect(agent.worker).toBe(next);
      expect(agent.otherWorkers?.size ?? 0).toBeLessThanOrEqual(node.peers.size);
      node.leave(worker);
      worker = next;
    }
    expect(agent.otherWorkers?.size ?? 0).toBeLessThanOrEqual(1);
    router.forget(agent);
    expect(node.told).toEqual([worker]);
    expect(directory.clientsOf(worker)).toBe(0);
  });

  it('remembers no worker that was lost before the client went to another one', () => {
    const agent = client();
    for (let boot = 0; boot < 30; boot++) {
      const worker = node.join('w', `e${boot}`);
      say(agent);
      expect(agent.worker).toBe(worker);
      expect(agent.otherWorkers).toBeUndefined();
      node.leave(worker);
    }
    router.tell(agent);
    router.forget(agent);
    expect(node.told).toEqual([]);
  });

  it('tells each worker that has a client, and is there, of its end', () => {
    const agent = client();
    const chat = node.join('chat', 'e');
    say(agent);
    const shop = node.join('shop', 'e', ['shop']);
    router.route(agent, 'shop/buy', NO_BODY, 2, performance.now());
    router.forget(agent);
    expect(node.told).toEqual([shop, chat]);
    expect([agent.worker, agent.otherWorkers]).toEqual([undefined, undefined]);
  });

  it('drops the waiting frame of a client that has gone, and none of another', () => {
    node.leave(node.join('w', 'e'));
    const [gone, stays] = [client(), client()];
    say(gone);
    say(stays);
    router.abandon(gone);
    expect([router.waitingCount, counters.get('frames_abandoned', 'client_gone')]).toEqual([1, 1]);
    const worker = node.join('w', 'e2');
    expect(node.asked).toEqual([worker]);
    expect([gone.worker, stays.worker]).toEqual([undefined, worker]);
    router.onApplicationShutdown();
  });

  it('forgets a client as quickly when many frames wait', () => {
    const clients = Array.from({ length: 5_000 }, client);
    const forgetAll = (): number => {
      const start = performance.now();
      for (const agent of clients) {
        router.abandon(agent);
        router.forget(agent);
      }
      return performance.now() - start;
    };
    node.leave(node.join('w', 'e'));
    const idleMs = forgetAll();
    for (let n = 0; n < MAX_WAITING; n++) say(client());
    expect(router.waitingCount).toBe(MAX_WAITING);
    // A look at each of them would take some hundred milliseconds.
    expect(forgetAll()).toBeLessThan(idleMs + 50);
    router.onApplicationShutdown();
  });
});
