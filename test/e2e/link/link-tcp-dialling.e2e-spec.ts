import { afterEach, describe, expect, it } from '@jest/globals';
import { TcpLink } from '@nestgate/link';
import { freePort, LinkProbe, type TcpRelay, waitUntil } from '@nestgate/testing';
import { exchange, LinkCluster, onPorts, talk } from '../support/link-cluster.js';
import { nodeInfo, WIRE } from '../support/raw-link-peer.js';

const secret = 'a secret of the tests';
/** Looks names up far more often than in production. */
const times = {
  lookupMs: 30,
  emptyLookupMs: 30,
  connectMs: 4_000,
  minRetryMs: 20,
  maxRetryMs: 200,
  recentRetryMs: 200,
  recentMs: 60_000,
  stableMs: 500,
  duplicateRetryMs: 15_000,
};
const notFound = Object.assign(new Error('not found'), { code: 'ENOTFOUND' });

describe('what a node of the tcp link dials', () => {
  const cluster = new LinkCluster({ secret });

  afterEach(() => cluster.end());

  /** A worker that reaches a gate by two addresses. */
  async function openTwice(): Promise<{ gate: LinkProbe; worker: LinkProbe; relays: TcpRelay[] }> {
    const gate = await cluster.openGate('g1');
    const relays = [await cluster.relayTo(gate), await cluster.relayTo(gate)];
    const worker = await cluster.openWorker(onPorts(...relays.map(({ port }) => port)));
    await gate.meets('w1');
    await waitUntil('both to be tried', () => relays.every(({ connections }) => connections > 0));
    return { gate, worker, relays };
  }

  it('is one gate by two addresses: it keeps one connection, and leaves the other address alone', async () => {
    const { gate, worker, relays } = await openTwice();
    await talk(gate, worker);
    expect(relays.map(({ connections }) => connections)).toEqual([1, 1]);
    expect(gate.story('w1')).toEqual(['join 1']);
    expect(worker.story('g1')).toEqual(['join 1']);
  });

  it('is one gate by two addresses: when one breaks, the other is dialled at once', async () => {
    const { gate, worker, relays } = await openTwice();
    for (let i = 0; i < 50; i++) await exchange(gate, worker);
    // The one that carries the connection is the one with most to write down.
    const [used, spare] = relays.sort((a, b) => b.record.length - a.record.length) as [TcpRelay, TcpRelay];
    const since = performance.now();
    await used.end();
    await waitUntil('the return', () => gate.story('w1').length === 3 && worker.story('g1').length === 3);
    expect(performance.now() - since).toBeLessThan(times.duplicateRetryMs / 3);
    expect(spare.connections).toBe(2);
    expect(gate.story('w1')).toEqual(['join 1', 'lost', 'join 1']);
    await exchange(gate, worker);
  });

  it('are gates that all dial each other, and themselves: one connection for each two', async () => {
    const ports = [await freePort(), await freePort(), await freePort()];
    const gates = await Promise.all(
      ports.map((port, i) => cluster.openGate(`g${i}`, { url: `tcp://127.0.0.1:${port}?peers=${onPorts(...ports)}` })),
    );
    for (const gate of gates) await gate.meets(...['g0', 'g1', 'g2'].filter(id => id !== gate.info.id));
    await talk(gates[0] as LinkProbe, gates[1] as LinkProbe);
    for (const [i, gate] of gates.entries()) {
      for (const [j, other] of gates.entries()) {
        if (i === j) continue;
        expect(gate.story(`g${j}`)).toEqual(['join 1']);
        await exchange(gate, other);
      }
    }
  });

  it('are gates that find each other again after each of them has been cut off', async () => {
    const ports = [await freePort(), await freePort()];
    const relays = [await cluster.relayTo(ports[1] as number), await cluster.relayTo(ports[0] as number)];
    const [one, other] = (await Promise.all(
      ports.map((port, i) =>
        cluster.openGate(`g${i}`, { url: `tcp://127.0.0.1:${port}?peers=127.0.0.1:${relays[i]?.port}` }),
      ),
    )) as [LinkProbe, LinkProbe];
    await one.meets('g1');
    await other.meets('g0');
    for (let round = 1; round <= 3; round++) {
      for (const relay of relays) relay.cut();
      await waitUntil('the loss', () => one.story('g1').length >= 2 * round && other.story('g0').length >= 2 * round);
      await waitUntil('the return', () => one.knows('g1') && other.knows('g0'));
      await exchange(one, other);
    }
    const story = ['join 1', 'lost', 'join 1', 'lost', 'join 1', 'lost', 'join 1'];
    expect(one.story('g1')).toEqual(story);
    expect(other.story('g0')).toEqual(story);
  });

  it('is a name: a new address is dialled soon, and one that has vanished only as long as it works', async () => {
    const [first, second] = [await cluster.openGate('g1'), await cluster.openGate('g2')];
    const relay = await cluster.relayTo(second);
    let isThere = false;
    let lookups = 0;
    const lookupAll = (name: string) => {
      if (name === 'first.test') return Promise.resolve(['127.0.0.1']);
      lookups++;
      return isThere ? Promise.resolve(['127.0.0.1']) : Promise.reject(notFound);
    };
    const url = `tcp://first.test:${LinkCluster.portOf(first)},second.test:${relay.port}`;
    const link = new TcpLink({ url, secret }, { times, lookupAll });
    const worker = await cluster.keep(new LinkProbe(link, nodeInfo('w1'))).open();
    expect([...worker.link.peers().keys()]).toEqual(['g1']);
    isThere = true;
    await worker.meets('g1', 'g2');

    isThere = false;
    const gone = lookups;
    await waitUntil('lookups', () => lookups > gone + 3);
    await exchange(worker, second);
    relay.cut();
    await waitUntil('the loss', () => !worker.knows('g2'));
    const [{ connections }, seen] = [relay, lookups];
    // More than it takes for the longest wait between two attempts.
    await waitUntil('more lookups', () => lookups > seen + 20);
    expect(relay.connections).toBe(connections);
    expect(worker.story('g2')).toEqual(['join 1', 'lost']);
    expect(worker.story('g1')).toEqual(['join 1']);
  });

  it('is a listener that takes it and drops it: it backs off', async () => {
    const listener = await cluster.listen(peer => peer.socket.destroy());
    await cluster.openWorker(onPorts(listener.port));
    await waitUntil('some attempts', () => listener.times.length >= 6, 10_000);
    const waits = listener.times.slice(1).map((time, i) => time - (listener.times[i] as number));
    // At least half of 100, 200, 400, 800 and 1,600 ms; a timer may be a little early.
    for (const [i, wait] of waits.entries()) expect(wait).toBeGreaterThan(50 * 2 ** i - 5);
  });

  it('is told what the node has announced while the two were being introduced', async () => {
    const listener = await cluster.listen(peer => peer.sayHello());
    const info = nodeInfo('w1');
    const link = new TcpLink({ url: `tcp://${onPorts(listener.port)}`, secret });
    const opened = cluster.keep(new LinkProbe(link, info)).open();
    const peer = await waitUntil('the worker', () => listener.peers[0]);
    await peer.next(WIRE.proof);
    link.announce({ ...info, modules: ['chat'] });
    peer.send(WIRE.proof, await peer.proof(nodeInfo('g1', 'gate')));
    await peer.next(WIRE.ready);
    peer.send(WIRE.ready);
    await opened;
    expect(JSON.parse((await peer.next(WIRE.info)).toString())).toEqual({ ...info, modules: ['chat'] });
  });
});
