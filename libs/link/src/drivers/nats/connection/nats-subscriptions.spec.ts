import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import { NatsSubscriptions } from './nats-subscriptions.js';

/** A connection that confirms what a test wants confirmed. */
class FakeConnection {
  readonly callbacks = new Map<string, (error: Error | null, msg: Msg) => void>();
  readonly closed = new Set<string>();
  flushes = 0;
  isOver = false;
  private confirm: (() => void)[] = [];
  private fail: ((error: Error) => void)[] = [];

  subscribe(subject: string, { callback }: { callback: (error: Error | null, msg: Msg) => void }): object {
    this.callbacks.set(subject, callback);
    return { unsubscribe: () => this.callbacks.delete(subject), isClosed: () => this.closed.has(subject) };
  }

  flush(): Promise<void> {
    this.flushes++;
    return new Promise((resolve, reject) => {
      this.confirm.push(resolve);
      this.fail.push(reject);
    });
  }

  confirms(): void {
    for (const resolve of this.confirm.splice(0)) resolve();
  }

  breaks(): void {
    this.isOver = true;
    for (const reject of this.fail.splice(0)) reject(new Error('closed'));
  }

  deliver(subject: string, word: string): void {
    this.callbacks.get(subject)?.(null, { subject: word } as Msg);
  }

  isClosed = (): boolean => this.isOver;
  isDraining = (): boolean => false;

  get nats(): NatsConnection {
    return this as unknown as NatsConnection;
  }
}

describe('NatsSubscriptions', () => {
  let heard: string[];
  let defects: unknown[];
  let connection: FakeConnection;
  let subscriptions: NatsSubscriptions;

  beforeEach(() => {
    [heard, defects] = [[], []];
    connection = new FakeConnection();
    subscriptions = new NatsSubscriptions(error => defects.push(error));
  });

  const add = (subject: string): void =>
    subscriptions.add(subject, msg => void heard.push(`${subject} ${msg.subject}`));
  const turn = () => new Promise(resolve => setImmediate(resolve));
  /** Whether it has settled by now. */
  async function isSettled(promise: Promise<void>): Promise<boolean> {
    let settled = false;
    promise.then(
      () => (settled = true),
      () => (settled = true),
    );
    await turn();
    return settled;
  }

  it('subscribes on a connection that comes later, and on each one after it', () => {
    add('a');
    subscriptions.attach(connection.nats);
    connection.deliver('a', '1');
    subscriptions.detach();
    add('b');
    const next = new FakeConnection();
    subscriptions.attach(next.nats);
    for (const subject of ['a', 'b']) next.deliver(subject, '2');
    expect(heard).toEqual(['a 1', 'a 2', 'b 2']);
  });

  it('subscribes once, also when the same connection is back', () => {
    subscriptions.attach(connection.nats);
    add('a');
    const callback = connection.callbacks.get('a');
    add('a');
    subscriptions.attach(connection.nats);
    expect(connection.callbacks.get('a')).toBe(callback);
  });

  it('subscribes again to what was denied, on the next occasion', () => {
    subscriptions.attach(connection.nats);
    add('a');
    expect(subscriptions.isDenied('a')).toBe(false);
    connection.closed.add('a');
    expect(subscriptions.isDenied('a')).toBe(true);
    const callback = connection.callbacks.get('a');
    subscriptions.attach(connection.nats);
    expect(connection.callbacks.get('a')).not.toBe(callback);
  });

  it('forgets a subject, on later connections too', () => {
    subscriptions.attach(connection.nats);
    add('a');
    subscriptions.delete('a');
    subscriptions.detach();
    const next = new FakeConnection();
    subscriptions.attach(next.nats);
    expect([connection.callbacks.size, next.callbacks.size]).toEqual([0, 0]);
  });

  it('says when the server knows of a subscription, with one round trip for all of a turn', async () => {
    subscriptions.attach(connection.nats);
    add('a');
    add('b');
    const confirmed = subscriptions.whenConfirmed('b');
    expect([await isSettled(confirmed), connection.flushes]).toEqual([false, 1]);
    add('c');
    const later = subscriptions.whenConfirmed('c');
    await turn();
    expect(connection.flushes).toBe(2);
    connection.confirms();
    expect([await isSettled(confirmed), await isSettled(later)]).toEqual([true, true]);
  });

  it('waits for no connection, and for none that breaks', async () => {
    add('a');
    expect(await isSettled(subscriptions.whenConfirmed('a'))).toBe(true);
    expect(await isSettled(subscriptions.whenConfirmed('unknown'))).toBe(true);
    subscriptions.attach(connection.nats);
    const confirmed = subscriptions.whenConfirmed('a');
    await turn();
    connection.breaks();
    await confirmed;
    // A connection that is over takes no more subscriptions.
    add('b');
    expect(connection.callbacks.has('b')).toBe(false);
  });

  it('reports what a callback throws, and goes on', () => {
    const defect = new Error('a defect');
    subscriptions.attach(connection.nats);
    subscriptions.add('a', () => {
      throw defect;
    });
    add('b');
    connection.deliver('a', '1');
    connection.deliver('b', '2');
    expect([defects, heard]).toEqual([[defect], ['b 2']]);
  });

  it('takes no denial for a message', () => {
    subscriptions.attach(connection.nats);
    add('a');
    connection.callbacks.get('a')?.(new Error('permissions violation'), undefined as never);
    expect([heard, defects]).toEqual([[], []]);
  });
});
