import { afterEach, describe, expect, it } from '@jest/globals';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import type { NodeInfo } from '../../../link.js';
import { NatsSubscriptions } from '../connection/nats-subscriptions.js';
import type { NatsLinkConnection } from '../connection/nats-link-connection.js';
import { NatsMembership } from './nats-membership.js';
import { NatsWarnings } from '../connection/nats-warnings.js';

const self: NodeInfo = { id: 'g1', role: 'gate', epoch: 'e5', modules: [], draining: false };
const TAKEN = 'nestgate.gate.g1.e5.taken';
const ID = 'nestgate.id.g1';

/** A connection that knows its subscriptions, and answers what the test wants it to. */
class FakeConnection {
  readonly callbacks = new Map<string, (error: Error | null, msg: Msg) => void>();
  readonly published: string[] = [];
  onPublish: (subject: string) => void = () => undefined;

  subscribe(subject: string, { callback }: { callback: (error: Error | null, msg: Msg) => void }): object {
    this.callbacks.set(subject, callback);
    return { unsubscribe: () => this.callbacks.delete(subject), isClosed: () => false };
  }

  publish(subject: string): void {
    this.published.push(subject);
    this.onPublish(subject);
  }

  deliver(subject: string, text: string): string[] {
    const answers: string[] = [];
    const msg = { string: () => text, respond: (answer: string) => answers.push(answer) };
    this.callbacks.get(subject)?.(null, msg as unknown as Msg);
    return answers;
  }

  flush = (): Promise<void> => Promise.resolve();
  isClosed = (): boolean => false;
  isDraining = (): boolean => false;

  get nats(): NatsConnection {
    return this as unknown as NatsConnection;
  }
}

describe('NatsMembership', () => {
  const subscriptions = new NatsSubscriptions(error => {
    throw error as Error;
  });
  const connection = { subscriptions, say: () => undefined } as unknown as NatsLinkConnection;
  const membership = new NatsMembership(self, 'nestgate', connection, new NatsWarnings(() => undefined), {
    onFrame: () => undefined,
    onPeer: () => undefined,
    onSign: () => undefined,
    onDefect: () => undefined,
  });

  function connect(): FakeConnection {
    const fake = new FakeConnection();
    subscriptions.attach(fake.nats);
    return fake;
  }

  afterEach(() => subscriptions.detach());

  it('hears that its id is taken also when its first connection broke while it asked', async () => {
    const broken = connect();
    broken.onPublish = () => {
      throw new Error('the connection is closed');
    };
    await expect(membership.enter(broken.nats)).rejects.toThrow('the connection is closed');
    subscriptions.detach();

    const second = connect();
    second.onPublish = subject => {
      if (subject === ID) second.deliver(TAKEN, 'held e1');
    };
    await expect(membership.enter(second.nats)).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    subscriptions.detach();

    const third = connect();
    await membership.enter(third.nats);
    // Another one that wants the id is told that it is taken, and not only that it is wanted.
    expect(third.deliver(ID, '')).toEqual(['held e5']);
  });
});
