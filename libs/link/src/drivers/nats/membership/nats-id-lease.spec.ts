import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import type { NodeInfo } from '../../../link.js';
import type { NatsSubscriptions } from '../connection/nats-subscriptions.js';
import { NatsSubjects } from '../nats-subjects.js';
import { NatsIdLease } from './nats-id-lease.js';

const ACQUIRE_MS = 500;
const NO_RESPONDERS = 503;

/** A server with the subscriptions of all nodes, which delivers at once, and to nobody what it has sent itself. */
class FakeServer {
  private readonly subscriptions: { readonly owner: object; readonly subject: string; take(msg: Msg): void }[] = [];

  subscribe(owner: object, subject: string, take: (msg: Msg) => void): void {
    this.subscriptions.push({ owner, subject, take });
  }

  publish(sender: object, subject: string, text: string, reply = ''): void {
    const others = this.to(subject).filter(({ owner }) => owner !== sender);
    if (others.length === 0) {
      const headers = { code: NO_RESPONDERS };
      for (const { take } of this.to(reply)) take({ headers, string: () => '' } as unknown as Msg);
    }
    for (const { owner, take } of others) {
      const respond = (answer: string): void => this.publish(owner, reply, answer);
      take({ string: () => text, respond } as unknown as Msg);
    }
  }

  private to(subject: string) {
    return this.subscriptions.filter(each => each.subject === subject);
  }
}

describe('NatsIdLease', () => {
  let server: FakeServer;

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
    server = new FakeServer();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  /** A node that wants an id, and answers others until a test says that it hangs. */
  function node(id: string, epoch: string) {
    const self: NodeInfo = { id, epoch, role: 'gate', modules: [], draining: false };
    const state = { answers: true };
    const subscriptions = {
      add: (subject: string, take: (msg: Msg) => void) =>
        server.subscribe(self, subject, msg => {
          if (state.answers) take(msg);
        }),
      whenConfirmed: () => Promise.resolve(),
    } as unknown as NatsSubscriptions;
    const lease = new NatsIdLease(self, new NatsSubjects('ns', self), subscriptions);
    const nats = {
      publish: (subject: string, _data: undefined, { reply }: { reply: string }) =>
        server.publish(self, subject, '', reply),
    } as unknown as NatsConnection;
    const acquire = async (): Promise<string> =>
      lease.acquire(nats).then(
        () => 'held',
        (error: { code: string }) => error.code,
      );
    return { acquire, state };
  }
  async function after<T>(ms: number, promise: Promise<T>): Promise<T | 'waits'> {
    let end: T | 'waits' = 'waits';
    promise.then(value => (end = value)).catch(() => undefined);
    await jest.advanceTimersByTimeAsync(ms);
    return end;
  }

  it('takes an id at once that the server knows nobody of', async () => {
    expect(await after(0, node('g1', 'e1').acquire())).toBe('held');
    expect(jest.getTimerCount()).toBe(0);
  });

  it('refuses an id that another node holds, whichever was booted first', async () => {
    const holder = node('g1', 'e5');
    await after(ACQUIRE_MS, holder.acquire());
    expect(await after(0, node('g1', 'e1').acquire())).toBe('BAD_ARGUMENT');
    expect(await after(0, node('g1', 'e9').acquire())).toBe('BAD_ARGUMENT');
    expect(await after(ACQUIRE_MS, node('g2', 'e9').acquire())).toBe('held');
  });

  it('gives an id to the earlier boot of two that want it at once', async () => {
    const [early, late] = [node('g1', 'e1'), node('g1', 'e2')];
    const [first, second] = [early.acquire(), late.acquire()];
    expect([await after(ACQUIRE_MS, first), await after(0, second)]).toEqual(['held', 'BAD_ARGUMENT']);
  });

  it('takes an id after half a second whose holder does not answer', async () => {
    const hung = node('g1', 'e1');
    await after(ACQUIRE_MS, hung.acquire());
    hung.state.answers = false;
    const next = node('g1', 'e2').acquire();
    expect(await after(ACQUIRE_MS - 1, next)).toBe('waits');
    expect(await after(1, next)).toBe('held');
    expect(jest.getTimerCount()).toBe(0);
  });

  it('takes its own id again on the next connection, and leaves no timer', async () => {
    const gate = node('g1', 'e1');
    await after(ACQUIRE_MS, gate.acquire());
    expect(await after(ACQUIRE_MS, gate.acquire())).toBe('held');
    expect(jest.getTimerCount()).toBe(0);
  });
});
