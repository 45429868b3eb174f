import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { LinkNode } from '@nestgate/link';
import type { Peer } from '@nestgate/link/internal';
import { CLOSE } from '@nestgate/protocol';
import type { Hub } from '../../hub/hub.js';
import { LeavingSessions } from './leaving-sessions.js';
import { ResumableConnection } from '../resumable-connection.js';

/** What is done to a session. */
class FakeSession {
  isAway = false;
  isMoving = false;
  isHandedOver = false;
  isWelcomed = true;
  readonly openedAs = 'user';
  readonly wire = { codec: 'json.2' };
  readonly network = 'ws';
  readonly queue = { acked: 3 };
  readonly agent;
  askedAt = 0;
  withinMs = -1;
  lostWith: number | undefined;

  constructor(readonly clientId: string) {
    this.agent = { sessionState: { origin: { sessionId: clientId } } };
  }

  askToMove(withinMs: number): void {
    this.isMoving = true;
    this.askedAt = performance.now();
    this.withinMs = withinMs;
  }

  loseSocket(code: number): boolean {
    this.lostWith = code;
    this.isAway = true;
    return true;
  }
}

// The sessions of the hub that can move are those of this class.
Object.setPrototypeOf(FakeSession.prototype, ResumableConnection.prototype);

interface Offer {
  readonly clientId: string;
  readonly ticket: string;
  readonly seen: number;
  readonly wire: string;
  readonly userId: string;
}

describe('LeavingSessions', () => {
  let sessions: FakeSession[];
  let offers: { readonly to: string; readonly offer: Offer; readonly at: number }[];
  let peers: Map<string, Peer>;
  let host: { departing: number; mayMove: boolean };
  let leaving: LeavingSessions;
  let onOffer: (session: FakeSession) => void;

  const addNode = (id: string, role = 'gate', draining = false): void => {
    const notify = (_: unknown, [offer]: readonly Offer[]): void => {
      offers.push({ to: id, offer: offer as Offer, at: performance.now() });
      onOffer(sessions.find(({ clientId }) => clientId === offer?.clientId) as FakeSession);
    };
    peers.set(id, { info: { id, role, draining }, notify } as unknown as Peer);
  };

  beforeEach(() => {
    sessions = [];
    offers = [];
    peers = new Map();
    onOffer = session => void (session.isHandedOver = true);
    addNode('me');
    host = { departing: 0, mayMove: true };
    const node = { isUp: true, peers, info: { id: 'me' } } as unknown as LinkNode;
    const hub = { all: () => sessions.map(connection => ({ connection })) } as unknown as Hub;
    const ticketFor = ({ agent }: ResumableConnection): string => `t-${agent.sessionState.origin.sessionId}`;
    leaving = new LeavingSessions(Object.assign(host, { node, hub, ticketFor }));
  });
  afterEach(() => {
    sessions.length = 0;
  });

  it('has nothing to do without sessions, nor without another gate that stays', async () => {
    addNode('g2');
    await leaving.leave(60_000);
    sessions.push(new FakeSession('c1'));
    peers.delete('g2');
    addNode('w1', 'worker');
    addNode('g3', 'gate', true);
    await leaving.leave(60_000);
    expect([sessions[0]?.isMoving, offers]).toEqual([false, []]);
  });

  it('asks nobody to move while a node is there that does not know how', async () => {
    addNode('g2');
    sessions.push(new FakeSession('c1'));
    host.mayMove = false;
    await leaving.leave(60_000);
    expect([sessions[0]?.isMoving, offers]).toEqual([false, []]);
  });

  it('waits for sessions that are on their way', async () => {
    addNode('g2');
    host.departing = 1;
    const begun = performance.now();
    setTimeout(() => (host.departing = 0), 100);
    await leaving.leave(60_000);
    expect(performance.now() - begun).toBeGreaterThanOrEqual(99);
  });

  it('asks clients with a connection once, 20 at a time, and says how much time they have', async () => {
    addNode('g2');
    sessions = Array.from({ length: 50 }, (_, i) => new FakeSession(`c${i}`));
    setTimeout(() => sessions.forEach(session => (session.isHandedOver = true)), 200);
    await leaving.leave(10_000);
    const rounds = new Map<number, number>();
    for (const { askedAt } of sessions) rounds.set(Math.round(askedAt), 1 + (rounds.get(Math.round(askedAt)) ?? 0));
    expect(sessions.every(({ isMoving }) => isMoving)).toBe(true);
    expect(Math.max(...rounds.values())).toBeLessThanOrEqual(20);
    const [first, last] = [sessions[0], sessions[49]] as [FakeSession, FakeSession];
    expect(first.withinMs).toBeGreaterThan(5_900);
    expect(last.withinMs).toBeLessThan(first.withinMs);
  });

  it('takes the connection of a client that has not moved, and hands its session over', async () => {
    addNode('g2');
    sessions.push(new FakeSession('c1'));
    const begun = performance.now();
    await leaving.leave(400);
    expect(sessions[0]?.lostWith).toBe(CLOSE.moved.code);
    expect(offers.map(({ to, offer }) => [to, offer])).toEqual([
      ['g2', { clientId: 'c1', ticket: 't-c1', seen: 3, wire: 'json.2/ws', userId: 'user' }],
    ]);
    expect((offers[0]?.at ?? 0) - begun).toBeGreaterThanOrEqual(239);
  });

  it('offers a session to one gate after another until one has taken it', async () => {
    addNode('g2');
    addNode('g3');
    const session = new FakeSession('c1');
    session.isAway = true;
    sessions.push(session);
    onOffer = () => void (session.isHandedOver = offers.length === 2);
    await leaving.leave(5_000);
    expect(offers.map(({ to }) => to)).toEqual(['g2', 'g3']);
    const [first, second] = offers.map(({ at }) => at) as [number, number];
    expect(second - first).toBeGreaterThanOrEqual(999);
  });

  it('leaves alone what has not been welcomed, and ends in time', async () => {
    addNode('g2');
    const [unwelcome, stubborn] = [new FakeSession('c1'), new FakeSession('c2')];
    unwelcome.isWelcomed = false;
    stubborn.isAway = true;
    sessions.push(unwelcome, stubborn);
    onOffer = () => undefined;
    const begun = performance.now();
    await leaving.leave(300);
    expect(performance.now() - begun).toBeLessThan(2_000);
    expect([unwelcome.isMoving, unwelcome.lostWith, offers.length]).toEqual([false, undefined, 1]);
  });
});
