import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type ConnectOptions, type GapEvent, type GateClient, whenOnline } from '@nestgate/client';
import { frameCodec } from '@nestgate/client/frame';
import { createTestCluster, TcpRelay, type TestCluster, waitUntil } from '@nestgate/testing';
import { ClientTopics, Clients, inState } from './client-support.js';

const jsonOf = (bytes: Uint8Array): unknown => JSON.parse(Buffer.from(bytes).toString());
const CODECS: readonly [name: string, options: ConnectOptions][] = [
  ['gate.json.2', {}],
  ['gate.frame.2', { codec: frameCodec({ decodeBody: jsonOf }) }],
];

describe.each(CODECS)('a session of a gate that keeps it: %s', (_name, options) => {
  const clients = new Clients();
  let cluster: TestCluster;
  let relay: TcpRelay;
  let gate: GateClient;
  let gaps: GapEvent[];
  let resumes: number;

  beforeEach(async () => {
    const resume = { frames: 50, ackEvery: 8 };
    cluster = await createTestCluster({
      handlers: { controllers: [ClientTopics] },
      gate: { resume, messageRate: 0 },
    });
    relay = await TcpRelay.start(cluster.gates[0]!.port);
    gate = clients.connect(`ws://127.0.0.1:${relay.port}/gate`, options);
    gaps = [];
    resumes = 0;
    gate.on('gap', event => gaps.push(event));
    gate.on('resumed', () => resumes++);
    await whenOnline(gate);
  });

  afterEach(async () => {
    clients.close();
    await relay.end();
    await cluster.close();
  });

  /** Breaks the connection, and waits until the client has noticed it. */
  async function cut(): Promise<void> {
    relay.cut();
    await inState(gate, 'waiting');
  }

  it('survives cuts: no push, no message and no request is lost, and none comes twice', async () => {
    const heard: unknown[] = [];
    gate.on('room/said', body => heard.push(body));
    const { clientId } = gate;
    const replies: Promise<unknown>[] = [];
    let said = 0;
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 5; i++) {
        gate.send('echo/note', round * 5 + i);
        replies.push(gate.request('echo/echo', round * 5 + i));
        await cluster.api.sendToClient(clientId, 'room/said', said++);
      }
      await cut();
      for (let i = 0; i < 5; i++) await cluster.api.sendToClient(clientId, 'room/said', said++);
      gate.wake();
      await inState(gate, 'online');
    }
    expect(await Promise.all(replies)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    await waitUntil('all pushes', () => heard.length === said);
    expect(heard).toEqual(Array.from({ length: said }, (_, i) => i));
    expect(cluster.gates[0]!.app.get(ClientTopics).noted).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect([gaps, resumes, gate.clientId]).toEqual([[], 10, clientId]);
    expect(gate.stats.countMismatches).toBe(0);
  });

  it('tells how many pushes are missing when there were too many', async () => {
    const heard: unknown[] = [];
    gate.on('room/said', body => heard.push(body));
    await cut();
    for (let i = 0; i < 80; i++) await cluster.api.sendToClient(gate.clientId, 'room/said', i);
    gate.wake();
    await waitUntil('the newest pushes', () => heard.length === 50);
    expect(gaps).toEqual([{ n: 30, why: 'overrun' }]);
    expect(heard).toEqual(Array.from({ length: 50 }, (_, i) => i + 30));
    // Both sides agree on the count, or the next resume would be refused.
    await cut();
    gate.wake();
    await waitUntil('another resume', () => resumes === 2);
    expect(await gate.request('echo/echo', 'still here')).toBe('still here');
  });

  it('that was closed while it was away ends the client', async () => {
    await cut();
    await cluster.api.closeClient(gate.clientId);
    gate.wake();
    expect(await inState(gate, 'ended')).toMatchObject({ code: 4002 });
  });

  it('ends with close(), at once', async () => {
    gate.close();
    await waitUntil('the session to end', async () => (await cluster.api.getAllClientCount()) === 0);
  });
});
