import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { NodeInfo, NodeRole } from '../../../link.js';
import { controlPart, type NatsPart, partHead, readPart } from '../nats-fragments.js';
import type { NatsMember } from './nats-member.js';
import { NatsMemberTable, type NatsMemberTableHost } from './nats-member-table.js';
import { NatsSubjects } from '../nats-subjects.js';

const info = (id: string, role: NodeRole, epoch = 'e1'): NodeInfo => ({
  id,
  role,
  epoch,
  modules: [],
  draining: false,
});
const bytesOf = (node: unknown): Buffer => Buffer.from(JSON.stringify(node));

/** Identifies when a frame was sent: the tag of its sender, and the number of the frame. */
interface Frame {
  readonly meeting: number;
  readonly number: number;
}

/** A node whose messages wait until a test delivers them. */
class Node implements NatsMemberTableHost {
  readonly members: NatsMemberTable;
  readonly server = 's1';
  readonly story: string[] = [];
  readonly warned: string[] = [];
  outbox: { to: string; part: NatsPart; frame?: Frame }[] = [];
  /** What a server that hung still has of connections that this node has given up. */
  late: typeof this.outbox = [];
  /** What a node above this one knows: how often it has met the other one, and what came in this meeting. */
  meeting = 0;
  private sent = 0;
  private came: Frame | undefined;

  constructor(readonly self: NodeInfo) {
    this.members = new NatsMemberTable(self, new NatsSubjects('ns', self), this);
  }

  post(member: NatsMember, body: Buffer): void {
    this.outbox.push({ to: member.info.id, part: readPart(controlPart(member.head, body)) as NatsPart });
  }

  onPeer(change: Parameters<NatsMemberTableHost['onPeer']>[0]): void {
    if (change.type === 'join') {
      this.meeting++;
      this.sent = 0;
      this.came = undefined;
    }
    this.story.push('id' in change ? `${change.type} ${change.id}` : `${change.type} ${change.node.id}`);
  }

  warn(kind: string): void {
    this.warned.push(kind);
  }

  hears(other: Node, asks = false): void {
    this.members.noteInfo(other.self.role, bytesOf(other.self), asks);
  }

  /** Sends a frame, if it may. */
  sends(other: Node): void {
    const member = this.members.reachable(other.self.id);
    if (!member) return;
    const frame = { meeting: this.meeting, number: ++this.sent };
    this.outbox.push({ to: other.self.id, part: readPart(member.head) as NatsPart, frame });
  }

  /** The connection breaks, and is made again. */
  reconnects(): void {
    this.late.push(...this.outbox.splice(0));
    this.members.expectAll();
  }

  /** Gets the first message that the other one has under way. */
  gets(other: Node, box = other.outbox): void {
    const message = box.shift();
    if (!message || message.to !== this.self.id) return;
    const { part, frame } = message;
    const { role } = other.self;
    if (!frame) this.members.noteControl(role, part);
    else if (!this.members.admits(part, role)) this.members.noteStranger(part, role);
    else {
      // All that comes in one meeting is of one meeting of the sender, and in order; the first may have been lost.
      if (this.came) expect(frame.meeting).toBe(this.came.meeting);
      expect(frame.number).toBeGreaterThan(this.came?.number ?? 0);
      this.came = frame;
    }
  }

  /** A frame that this node would send now, as the other gets it. */
  frameFor(other: Node): NatsPart {
    const member = this.members.reachable(other.self.id);
    return readPart(member?.head ?? partHead(this.self, 0, 1)) as NatsPart;
  }
}

/** Delivers what waits between two nodes, until nothing does. */
function settle(a: Node, b: Node): void {
  while (a.outbox.length + b.outbox.length > 0) {
    b.gets(a);
    a.gets(b);
  }
}

function pair(): [gate: Node, worker: Node] {
  return [new Node(info('g1', 'gate')), new Node(info('w1', 'worker'))];
}

function met(): [gate: Node, worker: Node] {
  const [gate, worker] = pair();
  gate.hears(worker);
  settle(gate, worker);
  return [gate, worker];
}

/** Both know each other, and each takes the other's frames. */
function expectTogether(a: Node, b: Node): void {
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    expect(one.members.peers.get(other.self.id)).toEqual(other.self);
    expect(one.members.admits(other.frameFor(one), other.self.role)).toBe(true);
  }
}

describe('NatsMemberTable', () => {
  it('meets whom it hears of, once, on both sides', () => {
    const [gate, worker] = met();
    expect([gate.story, worker.story]).toEqual([['join w1'], ['join g1']]);
    expectTogether(gate, worker);
    gate.hears(worker);
    worker.hears(gate);
    settle(gate, worker);
    expect([gate.story, worker.story]).toEqual([['join w1'], ['join g1']]);
  });

  it('meets once when both begin', () => {
    const [gate, worker] = pair();
    gate.hears(worker);
    worker.hears(gate);
    settle(gate, worker);
    expect([gate.story, worker.story]).toEqual([['join w1'], ['join g1']]);
    expectTogether(gate, worker);
  });

  it('sends nothing to whom it has not met, and takes nothing from him', () => {
    const [gate, worker] = pair();
    gate.hears(worker);
    expect(gate.members.reachable('w1')).toBeUndefined();
    expect(gate.members.peers.size).toBe(0);
    const early = readPart(partHead(worker.self, 1, 1)) as NatsPart;
    expect(gate.members.admits(early, 'worker')).toBe(false);
  });

  it('asks again when its question was lost', () => {
    const [gate, worker] = pair();
    gate.hears(worker);
    gate.outbox = [];
    gate.hears(worker);
    settle(gate, worker);
    expectTogether(gate, worker);
  });

  it('is told again when the answer was lost, and nothing breaks', () => {
    const [gate, worker] = pair();
    gate.hears(worker);
    for (const { part } of gate.outbox.splice(0)) worker.members.noteControl('gate', part);
    worker.outbox = [];
    expect([gate.story, worker.story]).toEqual([[], ['join g1']]);
    gate.hears(worker);
    settle(gate, worker);
    expect([gate.story, worker.story]).toEqual([['join w1'], ['join g1']]);
    expectTogether(gate, worker);
  });

  it('has the other side lose it too when it has lost that: both begin again', () => {
    const [gate, worker] = met();
    const before = worker.frameFor(gate);
    gate.members.noteGone(worker.self);
    expect(gate.story).toEqual(['join w1', 'lost w1']);
    gate.hears(worker);
    settle(gate, worker);
    expect(gate.story).toEqual(['join w1', 'lost w1', 'join w1']);
    expect(worker.story).toEqual(['join g1', 'lost g1', 'join g1']);
    expectTogether(gate, worker);
    expect(gate.members.admits(before, 'worker')).toBe(false);
  });

  it('is not confused by questions of an earlier meeting that were under way for long', () => {
    const [gate, worker] = pair();
    gate.hears(worker);
    const [late] = gate.outbox;
    settle(gate, worker);
    gate.members.noteGone(worker.self);
    gate.hears(worker);
    settle(gate, worker);
    const stories = [[...gate.story], [...worker.story]];
    worker.members.noteControl('gate', (late as { part: NatsPart }).part);
    settle(gate, worker);
    expect([gate.story, worker.story]).toEqual(stories);
    expectTogether(gate, worker);
  });

  it('never mixes two meetings, and ends together, whatever is lost or late', () => {
    for (let run = 0; run < 300; run++) {
      const [gate, worker] = pair();
      for (let step = 0; step < 60; step++) {
        const [one, other] = Math.random() < 0.5 ? [gate, worker] : [worker, gate];
        const dice = Math.random();
        if (dice < 0.2) one.hears(other, Math.random() < 0.3);
        else if (dice < 0.25) one.members.noteGone(other.self);
        else if (dice < 0.3) one.outbox.shift();
        else if (dice < 0.35) one.reconnects();
        else if (dice < 0.4) one.gets(other, other.late);
        else if (dice < 0.5) one.sends(other);
        else one.gets(other);
      }
      for (let round = 0; round < 3; round++) {
        for (const [one, other] of [
          [gate, worker],
          [worker, gate],
        ] as const) {
          one.hears(other, true);
          one.gets(other, other.late);
          one.sends(other);
          settle(gate, worker);
        }
      }
      expectTogether(gate, worker);
    }
  });

  it('reports changes, and nothing else', () => {
    const [gate, worker] = met();
    gate.members.noteInfo('worker', bytesOf({ ...worker.self, draining: true }), false);
    gate.members.noteInfo('worker', bytesOf({ ...worker.self, draining: true }), false);
    expect(gate.story).toEqual(['join w1', 'change w1']);
    expect(gate.members.peers.get('w1')?.draining).toBe(true);
  });

  it('waits, after a break, for a sign of life before it sends', () => {
    const [gate, worker] = met();
    gate.members.expectAll();
    expect(gate.members.staleCount).toBe(1);
    expect(gate.members.reachable('w1')).toBeUndefined();
    worker.hears(gate, true);
    settle(gate, worker);
    expect(gate.members.staleCount).toBe(0);
    expect(gate.members.reachable('w1')).toBeDefined();
    gate.members.expectAll();
    gate.members.loseStale();
    expect(gate.story).toEqual(['join w1', 'lost w1']);
  });

  it('accepts a leave message only from that boot and that role', () => {
    const [gate, worker] = met();
    gate.members.noteBye('worker', bytesOf({ ...worker.self, epoch: 'e0' }));
    worker.members.noteBye('worker', bytesOf({ ...gate.self, role: 'worker' }));
    worker.members.noteBye('worker', bytesOf(gate.self));
    expect([gate.story, worker.story]).toEqual([['join w1'], ['join g1']]);
    gate.members.noteBye('worker', bytesOf(worker.self));
    expect(gate.story).toEqual(['join w1', 'leave w1']);
  });

  it('does not believe a role that another one speaks of', () => {
    const [, worker] = met();
    worker.members.noteInfo('worker', bytesOf(info('g2', 'gate')), false);
    expect(worker.outbox).toEqual([]);
    expect(worker.warned).toEqual(['forged']);
  });

  it('takes frames only from the role that their sender has', () => {
    const [gate, worker] = met();
    const frame = gate.frameFor(worker);
    expect(worker.members.admits(frame, 'gate')).toBe(true);
    expect(worker.members.admits(frame, 'worker')).toBe(false);
    expect(worker.members.admits({ ...frame, epoch: 'e2' }, 'gate')).toBe(false);
    expect(worker.members.admits({ ...frame, tag: frame.tag + 1 }, 'gate')).toBe(false);
  });

  it.each([
    ['another boot', info('g1', 'gate', 'e2')],
    ['another role', info('g1', 'worker', 'e2')],
    ['another role in the same boot', info('g1', 'worker', 'e1')],
  ])('keeps who has an id against %s, until he is gone', (_what, rival) => {
    const [gate, worker] = met();
    const second = new Node(rival);
    for (let i = 0; i < 4; i++) worker.hears(second);
    expect(worker.story).toEqual(['join g1']);
    expect(worker.warned).toEqual(['rival']);
    // It asks at the subject of the first one; the server says whether he is still there.
    expect(worker.outbox.map(({ to }) => to)).toEqual(['g1', 'g1', 'g1', 'g1']);
    worker.outbox = [];
    worker.members.noteGone(gate.self);
    settle(worker, second);
    expect(worker.story).toEqual(['join g1', 'lost g1', 'join g1']);
    expectTogether(worker, second);
  });

  it('warns of a node that has its own id', () => {
    const [gate] = met();
    gate.members.noteInfo('gate', bytesOf(info('g1', 'gate', 'e2')), false);
    expect(gate.warned).toEqual(['duplicate']);
    expect(gate.story).toEqual(['join w1']);
  });

  it('ignores what is malformed', () => {
    const [gate, worker] = met();
    for (const bytes of ['', '{}', '[]', 'null', '{"id":"w2"}', JSON.stringify(info('w 2', 'worker'))]) {
      gate.members.noteInfo('worker', Buffer.from(bytes), true);
    }
    gate.members.noteInfo('worker', bytesOf(info('w2', 'worker', 'not a token')), true);
    const body = Buffer.concat([Buffer.alloc(4), bytesOf(info('w2', 'worker'))]);
    for (const part of [Buffer.alloc(0), Buffer.alloc(3), Buffer.alloc(4), body]) {
      gate.members.noteControl('worker', readPart(controlPart(partHead(worker.self, 1, 1), part)) as NatsPart);
    }
    expect(gate.outbox).toEqual([]);
    expect(gate.story).toEqual(['join w1']);
  });

  describe('with silent nodes', () => {
    beforeEach(() => {
      jest.useFakeTimers();
    });
    afterEach(() => {
      jest.useRealTimers();
    });

    /** Looks around as often as the link does. */
    function wait(node: Node, ms: number, deaf = false): void {
      for (let passed = 0; passed < ms; passed += 250) {
        jest.advanceTimersByTime(250);
        node.members.lookAround(deaf);
      }
    }

    it('loses them after three and a half seconds, and no earlier', () => {
      const [gate, worker] = met();
      wait(gate, 3_500);
      expect(gate.story).toEqual(['join w1']);
      wait(gate, 250);
      expect(gate.story).toEqual(['join w1', 'lost w1']);
      expect(gate.members.reachable('w1')).toBeUndefined();
      expect(worker.story).toEqual(['join g1']);
    });

    it('keeps those that say something', () => {
      const [gate, worker] = met();
      for (let i = 0; i < 10; i++) {
        wait(gate, 3_000);
        gate.hears(worker);
      }
      expect(gate.story).toEqual(['join w1']);
    });

    it('blames nobody while nothing can be heard, nor for a time in which it stood still itself', () => {
      const [gate] = met();
      wait(gate, 10_000, true);
      expect(gate.story).toEqual(['join w1']);
      jest.advanceTimersByTime(10_000);
      gate.members.lookAround(false);
      wait(gate, 3_250);
      expect(gate.story).toEqual(['join w1']);
      wait(gate, 500);
      expect(gate.story).toEqual(['join w1', 'lost w1']);
    });
  });
});
