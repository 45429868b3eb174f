import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { LinkNode, type NodeRole } from '@nestgate/link';
import { type Codec, createCaller, ownerQueryOp, queryOp } from '@nestgate/link/internal';
import { NatsLink } from '@nestgate/link/nats';
import { NatsProcess, TcpRelay, waitUntil } from '@nestgate/testing';
import { connect } from '@nats-io/transport-node';
import { NatsNodes, nodeInfo } from './support/link-nats-support.js';

/** A node in a process of its own. */
class ChildNode {
  readonly told: { readonly type: string; readonly value: unknown }[] = [];

  constructor(private readonly child: ChildProcess) {
    child.on('message', message => this.told.push(message as (typeof this.told)[number]));
  }

  static async start(url: string, id: string, role: NodeRole): Promise<ChildNode> {
    const path = fileURLToPath(new URL('./support/link-nats-node.mjs', import.meta.url));
    const node = new ChildNode(fork(path, [url, id, role], { execArgv: [] }));
    await waitUntil('the node to start', () => node.told.some(({ type }) => type === 'open'), 10_000);
    return node;
  }

  get story(): unknown[] {
    return this.told.filter(({ type }) => type === 'peer').map(({ value }) => value);
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
  }
}

const text: Codec<string> = { write: (writer, value) => writer.str(value), read: reader => reader.str() };
const client: Codec<{ clientId: string }> = {
  write: (writer, { clientId }) => writer.str(clientId),
  read: reader => ({ clientId: reader.str() }),
};
const contract = {
  echo: queryOp(1, text, text, { merge: (_, answer) => answer, empty: () => '' }),
  load: ownerQueryOp(2, client, text),
};

describe('nodes on NATS that die, hang and come back', () => {
  const nodes = new NatsNodes();
  const children: ChildNode[] = [];
  const relays: TcpRelay[] = [];
  const linkNodes: LinkNode[] = [];
  let server: NatsProcess;

  beforeAll(async () => {
    server = await NatsProcess.start();
  });
  afterEach(async () => {
    await Promise.all(children.splice(0).map(child => child.end()));
    for (const node of linkNodes.splice(0)) await node.close({ drain: false });
    await nodes.end();
    for (const relay of relays.splice(0)) await relay.end();
  });
  afterAll(() => server.end());

  async function spawn(id: string, role: NodeRole): Promise<ChildNode> {
    const child = await ChildNode.start(server.url, id, role);
    children.push(child);
    return child;
  }

  async function relay(): Promise<TcpRelay> {
    const between = await TcpRelay.start(server.port);
    relays.push(between);
    return between;
  }

  it('loses one that is killed with the next frame to it', async () => {
    const gate = await nodes.open('g1', 'gate', server.url);
    const child = await spawn('w1', 'worker');
    await gate.meets('w1');
    await child.end();
    const startedAt = performance.now();
    await waitUntil('the loss', () => {
      gate.link.send('w1', Buffer.from('x'));
      return !gate.knows('w1');
    });
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    expect(gate.story('w1')).toEqual(['join e1', 'lost']);
  });

  it('meets the next boot of one that was killed, at once, under the same id', async () => {
    const gate = await nodes.open('g1', 'gate', server.url);
    const child = await spawn('w1', 'worker');
    await gate.meets('w1');
    await child.end();
    const next = await nodes.open('w1', 'worker', server.url, 'e2');
    await Promise.all([
      next.meets('g1'),
      waitUntil('the next boot', () => gate.link.peers().get('w1')?.epoch === 'e2', 1_000),
    ]);
    expect(gate.story('w1')).toEqual(['join e1', 'lost', 'join e2']);
    gate.link.send('w1', Buffer.from('to the next'));
    await waitUntil('a frame', () => next.frames.length === 1);
    expect(gate.warnings).toEqual([]);
  });

  it('lets one of two that start with the same id at the same time have it', async () => {
    for (let round = 0; round < 5; round++) {
      const two = [
        nodes.make(`w${round}`, 'worker', server.url, 'e1'),
        nodes.make(`w${round}`, 'worker', server.url, 'e2'),
      ];
      const outcomes = await Promise.allSettled(two.map(each => each.open()));
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    }
  });

  it('loses one that hangs within 4 seconds, and meets it again when it goes on: both sides begin again', async () => {
    const [g1, g2] = [await nodes.open('g1', 'gate', server.url), await nodes.open('g2', 'gate', server.url)];
    const child = await spawn('w1', 'worker');
    await Promise.all([g1, g2].map(each => each.meets('w1')));
    await waitUntil('the other side', () => child.story.length === 2);
    child.signal('SIGSTOP');
    const startedAt = performance.now();
    // The server takes what is sent to it, so nobody says that it is gone.
    expect(g1.link.send('w1', Buffer.from('late'))).toBe('sent');
    await waitUntil('the loss', () => !g1.knows('w1') && !g2.knows('w1'));
    expect(performance.now() - startedAt).toBeLessThan(4_000);
    child.signal('SIGCONT');
    await Promise.all([g1, g2].map(each => each.meets('w1')));
    // By itself it would not know that it was away.
    for (const gate of [g1, g2]) expect(gate.story('w1')).toEqual(['join e1', 'lost', 'join e1']);
    await waitUntil('its side', () => child.story.length === 6);
    expect([...child.story].sort()).toEqual(['join g1', 'join g1', 'join g2', 'join g2', 'lost g1', 'lost g2']);
    g1.link.send('w1', Buffer.from('now'));
    await waitUntil('the answer', () => g1.texts('w1').includes('now'));
    // What it answers to a frame of the earlier meeting is nobody's any more.
    expect(g1.texts('w1')).toEqual(['now']);
  });

  it('keeps one that was cut off for a moment, when nobody had anything to tell it', async () => {
    const between = await relay();
    const gate = await nodes.open('g1', 'gate', server.url);
    const worker = await nodes.open('w1', 'worker', `nats://127.0.0.1:${between.port}`);
    await Promise.all([gate.meets('w1'), worker.meets('g1')]);
    worker.link.send('g1', Buffer.from('before'));
    await waitUntil('a frame', () => gate.frames.length === 1);
    between.cut();
    await waitUntil('the return', () => worker.statuses.at(-1) === true);
    worker.link.send('g1', Buffer.from('after'));
    gate.link.send('w1', Buffer.from('after'));
    await waitUntil('both', () => gate.frames.length === 2 && worker.frames.length === 1);
    expect([gate.story('w1'), worker.story('g1')]).toEqual([['join e1'], ['join e1']]);
  });

  it('lets both sides begin again when one of them has missed something: no batch is missed or misread afterwards', async () => {
    const between = await relay();
    const answers: (() => void)[] = [];
    const start = async (id: string, role: NodeRole, port: number) => {
      const node = new LinkNode({ link: new NatsLink({ url: `nats://127.0.0.1:${port}` }), self: nodeInfo(id, role) });
      linkNodes.push(node);
      const later = (word: string) => new Promise<string>(resolve => answers.push(() => resolve(word)));
      node.dispatcher.serve(contract, {
        echo: word => (word === 'later' ? later(word) : word),
        load: ({ clientId }) => later(clientId),
      });
      await node.open();
      return node;
    };
    const gate = await start('g1', 'gate', server.port);
    const worker = await start('w1', 'worker', between.port);
    await waitUntil('the two to meet', () => gate.peers.has('w1') && worker.peers.has('g1'));
    const { echo, load } = createCaller(worker, contract);
    for (let i = 0; i < 20; i++) expect(await echo.call(`word ${i}`)).toBe(`word ${i}`);
    const losses: string[] = [];
    for (const node of [gate, worker]) node.onPeer(change => losses.push(`${node.info.id}: ${change.type}`));
    const unanswered = [
      echo.call('later', { deadlineMs: 10_000 }),
      load.call({ clientId: 'g1.e1.1' }, { deadlineMs: 10_000 }),
    ].map(answer => answer.catch((error: unknown) => (error as { code: string }).code));
    await waitUntil('the questions', () => answers.length === 2);
    const statuses: boolean[] = [];
    worker.onStatus(isUp => statuses.push(isUp));
    // The worker does not come back before the gate has answered.
    between.hold();
    between.cut();
    await waitUntil('the break', () => statuses.length > 0);
    // The gate answers into the void, and the server says so.
    answers[0]?.();
    await waitUntil('the gate to hear of it', () => losses.includes('g1: lost'));
    between.release();
    // It is there and has its clients, so nobody is told that they are gone.
    expect(await Promise.all(unanswered)).toEqual(['PARTIAL_RESULT', 'LINK_UNAVAILABLE']);
    await waitUntil(
      'the two to meet again',
      () => gate.peers.has('w1') && worker.peers.has('g1') && statuses.at(-1) === true,
    );
    expect(losses.sort()).toEqual(['g1: join', 'g1: lost', 'w1: join', 'w1: lost']);
    for (let i = 0; i < 20; i++) expect(await echo.call(`again ${i}`)).toBe(`again ${i}`);
    for (const { counters } of [gate, worker]) expect(counters).toMatchObject({ gaps: 0, corrupt: 0, late: 0 });
  });

  it('does not hear clusters of other namespaces', async () => {
    const at = (namespace: string) => `${server.url}?namespace=${namespace}`;
    const [one, other] = [await nodes.open('g1', 'gate', at('one')), await nodes.open('g1', 'gate', at('other'))];
    const [w1, w2] = [await nodes.open('w1', 'worker', at('one')), await nodes.open('w2', 'worker', at('other'))];
    await Promise.all([w1.meets('g1'), w2.meets('g1'), one.meets('w1'), other.meets('w2')]);
    await Promise.all([one, other].map(({ link }) => link.join('group:a')));
    for (const each of [w1, w2]) {
      each.link.cast('group:a', Buffer.from('cast'));
      each.link.cast('*', Buffer.from('to all'));
      each.link.send('g1', Buffer.from('sent'));
    }
    await waitUntil('all of it', () => one.frames.length >= 3 && other.frames.length >= 3);
    await w2.link.close({ drain: true });
    await waitUntil('the leave', () => !other.knows('w2'));
    expect(one.frames.map(([from]) => from)).toEqual(['w1', 'w1', 'w1']);
    expect(other.frames.map(([from]) => from)).toEqual(['w2', 'w2', 'w2']);
    expect([one, other, w1].map(({ link }) => Array.from(link.peers().keys()))).toEqual([['w1'], [], ['g1']]);
    expect(one.link.counters.dropped + other.link.counters.dropped).toBe(0);
  });

  it('survives whatever is published to its subjects', async () => {
    const [gate, worker] = await nodes.pair(server.url);
    const outsider = await connect({ servers: `127.0.0.1:${server.port}` });
    const subjects = [
      ...['from.gate', 'from.worker', 'lost.w1.e1', 'lost', 'taken'].map(end => `nestgate.gate.g1.e1.${end}`),
      ...['info.worker', 'info.gate', 'bye.worker', 'bye.gate', 'id.g1', 'channel.all'].map(end => `nestgate.${end}`),
    ];
    let sent = 0;
    for (let i = 0; i < 3_000; i++) {
      const bytes = randomBytes(i % 80);
      // Half of it looks like messages of this version.
      if (i % 2 === 0 && bytes.length > 0) bytes[0] = 32 + (i % 8);
      outsider.publish(subjects[i % subjects.length] as string, bytes, {
        reply: i % 3 === 0 ? 'nestgate.x' : undefined,
      });
      if (i % 50 === 0 && worker.link.send('g1', Buffer.from(String(sent))) !== 'refused') sent++;
    }
    await outsider.close();
    await waitUntil('what the worker has sent', () => gate.frames.length === sent);
    expect(gate.texts('w1')).toEqual(Array.from({ length: sent }, (_, i) => String(i)));
    expect([gate.story('w1'), worker.story('g1')]).toEqual([['join e1'], ['join e1']]);
    expect([...gate.warnings, ...worker.warnings]).toEqual([]);
    expect(gate.link.counters.dropped).toBeGreaterThan(100);
  });
});
