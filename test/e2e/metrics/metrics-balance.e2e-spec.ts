import { afterEach, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { AgentCreator, Gate, type GateFigures, GateMetrics, type SlowClientPolicy } from '@nestgate/gate';
import { BinaryClient, createTestCluster, FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { Tally, TallyingAgents } from './support/metrics-tally.js';

const BIG = 'x'.repeat(60_000);
/** More than a socket that is not read takes, and the outbox with it. */
const PUSHES = 200;

const sumOf = (figures: GateFigures, counter: string): number =>
  Object.values(figures.counts[counter] ?? {}).reduce((sum, count) => sum + count, 0);

/** Nothing is lost in silence: what was accepted was delivered, or is counted as dropped, or was answered with an error. */
describe.each<SlowClientPolicy>(['disconnect', 'drop-oldest', 'drop-newest'])('the counters of a gate, %s', policy => {
  let cluster: TestCluster;
  let tally: Tally;

  afterEach(() => cluster.close());

  const figures = (): GateFigures => cluster.gate.app.get(GateMetrics).snapshot();
  const connect = async (): Promise<FakeClient> => tally.watch(await cluster.connect());

  /** Sends one frame after the other of every kind; resolves with how many of them asked for no answer, and were no frames. */
  async function talk(client: FakeClient): Promise<void> {
    for (let n = 0; n < 30; n++) await client.request('echo/echo', n);
    for (let n = 0; n < 20; n++) client.send('echo/echo', n);
    const wrong: [string, unknown][] = [
      ['echo/fail', { code: 'SOLD_OUT' }],
      ['echo/fail', {}],
      ['echo/fail', 'not what it wants'],
      ['echo/none', 1],
      ['nobody/here', 1],
      ['bad topic', 1],
    ];
    const codes: (string | undefined)[] = [];
    for (const [topic, body] of wrong) codes.push((await client.exchange(topic, body)).error?.code);
    expect(codes).toEqual(['SOLD_OUT', 'INTERNAL', 'BAD_REQUEST', 'NO_HANDLER', 'NO_ROUTE', 'BAD_TOPIC']);
    for (const text of ['{', '[]', '{"topic":"echo/echo","body":{"a":}}']) client.sendRaw(text);
    const slow = client.ask('echo/slow', { ms: 50 });
    client.sendRaw(JSON.stringify({ topic: 'echo/echo', id: slow }));
    await client.answer(slow);
    await waitUntil('everything to have come back', () => {
      const errors = client.pushes('$gate/error').length + client.frames.filter(({ error }) => error).length;
      return errors === wrong.length + 4 && client.pushes('echo/echo').length === 20;
    });
  }

  /** Sends a client that does not read more than the gate queues. */
  async function pushTo(client: FakeClient | BinaryClient, from: FakeClient, done: () => boolean): Promise<void> {
    await client.request('fan/join', { group: 'deaf' });
    if (client instanceof FakeClient) client.socket.pause();
    else client.transport.pause();
    for (let n = 0; n < PUSHES && !done(); n++) await from.request('fan/out', { group: 'deaf', data: BIG });
  }

  it.each([0, 1])(
    'balance after a mixed load, with %i workers',
    async workers => {
      tally = new Tally();
      cluster = await createTestCluster({
        workers,
        handlers: { imports: [HandlersModule] },
        gate: {
          slowClientPolicy: policy,
          sendBurstBytes: 2 * 1024 * 1024,
          messageRate: 0,
          maxConnectionsPerIp: 0,
          closeTimeout: 200,
          tcp: { port: 0, codec: 'frame' },
          providers: [{ provide: AgentCreator, useValue: new TallyingAgents(tally) }],
        },
      });
      const talker = await connect();
      await talk(talker);

      const deaf = await connect();
      await pushTo(deaf, talker, () => false);
      expect(figures().counts['packs_dropped']?.[policy]).toBeGreaterThan(0);
      if (policy === 'disconnect') {
        await waitUntil('the slow client to be gone', () => figures().clients.connected === 1);
      } else {
        deaf.socket.resume();
        await waitUntil('the slow client to get the rest', () => figures().outbox.packs === 0);
        await deaf.close();
      }

      const tcpPort = cluster.gate.app.get(Gate).tcpPort as number;
      const ways = [
        () => BinaryClient.overTcp(tcpPort, { codec: 'frame' }),
        () => BinaryClient.overWs(cluster.gate.url, { codec: 'frame' }),
      ];
      for (const [index, open] of ways.entries()) {
        const gone = tally.watch(await open());
        await pushTo(gone, talker, () => figures().outbox.packs >= 5);
        gone.ask('echo/slow', { ms: 100 });
        gone.send('echo/slow', { ms: 1 });
        await waitUntil('its frames to be with the handler', () => figures().frames.unanswered === 2);
        gone.destroy();
        await waitUntil('the gate to notice', () => figures().clients.connected === 1);
        await waitUntil('the late answer', () => sumOf(figures(), 'answers_dropped') === index + 1);
      }
      await talker.exchange('$gate/ping');
      await talker.request('echo/echo', 'still here');
      await waitUntil('nothing to be under way', () => {
        const { frames, outbox, link } = figures();
        return frames.unanswered + outbox.packs + link.requestsWaiting === 0;
      });

      const last = figures();
      const dropped = sumOf(last, 'packs_dropped');
      const heartbeats = 1;
      expect(last.counts['packs_dropped']?.['closed']).toBeGreaterThan(0);
      expect(last.counts['frames_refused']).toEqual({
        custom: 1,
        INTERNAL: 1,
        BAD_REQUEST: 1,
        NO_HANDLER: 1,
        NO_ROUTE: 1,
        BAD_TOPIC: 1,
        BAD_FRAME: 3,
        DUPLICATE_ID: 1,
      });
      // Packs: each accepted pack is written to the socket, or counted.
      expect({ accepted: tally.asked }).toEqual({ accepted: tally.written + dropped });
      expect(last.outbox.queued).toBe(tally.taken);
      // Frames: each was handled, answered with an error, or abandoned.
      expect(last.frames.received).toBe(tally.sent);
      expect({ received: last.frames.received }).toEqual({
        received: last.frames.handled + sumOf(last, 'frames_refused') + sumOf(last, 'frames_abandoned') + heartbeats,
      });
      // What was written to a client that reads has come.
      const { frames } = talker;
      expect(frames.filter(({ id }) => id !== undefined).length).toBe(new Set(frames.map(({ id }) => id)).size);
      expect(last.link.counters).toEqual({ gaps: 0, corrupt: 0, refused: 0, uncertain: 0, late: 0, truncated: 0 });
    },
    40_000,
  );
});
