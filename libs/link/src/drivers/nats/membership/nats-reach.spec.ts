import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { NatsMember } from './nats-member.js';
import { NatsReach } from './nats-reach.js';

const AGAIN_MS = 200;
const REACH_MS = 2_000;

describe('NatsReach', () => {
  /** A node on each of the other servers. */
  let others: Map<string, NatsMember>;
  let sent: { to: NatsMember; body: Buffer }[];
  let defects: unknown[];
  let reach: NatsReach;
  let failure: Error | undefined;

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
    others = new Map();
    [sent, defects, failure] = [[], [], undefined];
    reach = new NatsReach({
      others: () => others,
      sendReach: (to, body) => {
        if (failure) throw failure;
        sent.push({ to, body: Buffer.from(body) });
      },
      onDefect: error => void defects.push(error),
    });
  });
  afterEach(() => {
    reach.stop();
    jest.useRealTimers();
  });

  function join(server: string): NatsMember {
    const member = { server } as NatsMember;
    others.set(server, member);
    return member;
  }
  const tick = (ms = 0): Promise<void> => jest.advanceTimersByTimeAsync(ms);
  const names = (): string[] => sent.splice(0).map(({ to }) => to.server);
  function wait(): { isOver: boolean } {
    const state = { isOver: false };
    reach.whenReached().then(
      () => (state.isOver = true),
      () => undefined,
    );
    return state;
  }
  /** What another node answers to the question that it has got. */
  function answer({ to, body }: { to: NatsMember; body: Buffer }): void {
    const replies: Buffer[] = [];
    new NatsReach({
      others: () => new Map(),
      sendReach: (_member, reply) => replies.push(reply),
      onDefect: () => undefined,
    }).receive({ server: 'mine' } as NatsMember, body);
    reach.receive(to, replies[0] as Buffer);
  }

  it('does not wait where there is one server only', async () => {
    const state = wait();
    await tick();
    expect([state.isOver, sent]).toEqual([true, []]);
  });

  it('waits until a node on each other server has answered', async () => {
    join('s2');
    join('s3');
    const state = wait();
    await tick();
    const [two, three] = sent as [(typeof sent)[0], (typeof sent)[0]];
    expect([two.to.server, three.to.server]).toEqual(['s2', 's3']);
    answer(two);
    answer(two);
    await tick();
    expect(state.isOver).toBe(false);
    answer(three);
    await tick();
    expect([state.isOver, jest.getTimerCount()]).toEqual([true, 0]);
  });

  it('asks once for all that is subscribed to in a turn, and again for what comes later', async () => {
    join('s2');
    const states = [wait(), wait()];
    await tick();
    states.push(wait());
    await tick();
    const [first, later] = sent as [(typeof sent)[0], (typeof sent)[0]];
    expect(sent).toHaveLength(2);
    answer(first);
    await tick();
    expect(states.map(({ isOver }) => isOver)).toEqual([true, true, false]);
    answer(later);
    await tick();
    expect(states[2]?.isOver).toBe(true);
  });

  it('asks those again that have not answered, through whichever node is there then', async () => {
    join('s2');
    join('s3');
    const state = wait();
    await tick();
    answer(sent[0] as (typeof sent)[0]);
    names();
    const other = join('s3');
    await tick(AGAIN_MS);
    expect(sent.map(({ to }) => to)).toEqual([other]);
    answer(sent[0] as (typeof sent)[0]);
    await tick();
    expect(state.isOver).toBe(true);
  });

  it('does not wait for a server whose last node has gone', async () => {
    join('s2');
    const state = wait();
    await tick();
    others.clear();
    await tick(AGAIN_MS);
    expect(state.isOver).toBe(true);
  });

  it('ends after two seconds in any case', async () => {
    join('s2');
    const state = wait();
    await tick(REACH_MS);
    expect(state.isOver).toBe(false);
    await tick(AGAIN_MS + 1);
    expect([state.isOver, jest.getTimerCount()]).toEqual([true, 0]);
    expect(names().length).toBeGreaterThan(5);
  });

  it('ends and reports it when it cannot ask', async () => {
    join('s2');
    const state = wait();
    await tick();
    failure = new Error('a defect');
    await tick(AGAIN_MS);
    expect([state.isOver, defects, jest.getTimerCount()]).toEqual([true, [failure], 0]);
  });

  it('takes no malformed message, and no answer to nothing', () => {
    const member = join('s2');
    reach.receive(member, Buffer.alloc(0));
    reach.receive(member, Buffer.from([0, 1, 2]));
    reach.receive(member, Buffer.from([1, 9, 9, 9, 9]));
    expect(sent).toEqual([]);
    // Of a question that is too long only what is known of it goes back.
    reach.receive(member, Buffer.from([0, 7, 0, 0, 0, 99]));
    expect(sent.map(({ body }) => body.toString('hex'))).toEqual(['0107000000']);
  });

  it('ends all waits when the node leaves', async () => {
    join('s2');
    const state = wait();
    await tick();
    reach.stop();
    await tick();
    expect([state.isOver, jest.getTimerCount()]).toEqual([true, 0]);
  });
});
