import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { Gate, GateCounters, type GateOptions } from '@nestgate/gate';
import { LinkNode } from '@nestgate/link';
import { gateContract } from '@nestgate/link/internal';
import { FrameKind, GateError } from '@nestgate/protocol';
import { BinaryClient, createTestCluster, FakeClient, TcpRelay, type TestCluster, waitUntil } from '@nestgate/testing';
import { type LinkName, LinkSupply } from '../support/links.js';

const HEARTBEAT_TIMEOUT = 4003;
/** How long a client has to answer, and what may come on top of it, in milliseconds. */
const PROBE_MS = 2_000;
const LINK_MS = 2_000;

describe.each(['memory', 'tcp'] as const)('a login that is refused for a client that may be gone, over %s', name => {
  let links: LinkSupply;
  let cluster: TestCluster;
  const relays: TcpRelay[] = [];

  beforeAll(async () => {
    links = await LinkSupply.open(name as LinkName);
  });
  afterAll(() => links.close());
  afterEach(async () => {
    await cluster.close();
    for (const relay of relays.splice(0)) await relay.end();
  });

  async function start(gates: number, gate: GateOptions = {}): Promise<void> {
    cluster = await createTestCluster({
      gates,
      handlers: { imports: [HandlersModule] },
      gate: { login: 'refuse', maxConnectionsPerIp: 0, maxConnectionRate: 0, ...gate },
      link: await links.forCluster(gates, { meshed: true }),
    });
    // A gate that has been dialled still dials by itself, and names what it has not reached as missing.
    for (const { app, api } of cluster.gates) {
      await waitUntil('the gates to meet', async () => {
        const gatesMet = [...app.get(LinkNode).peers.values()].filter(peer => peer.info.role === 'gate').length;
        const { missing } = await api.getAllClientCount({ partial: 'allow' });
        return gatesMet === gates && missing.length === 0;
      });
    }
  }

  /** A client whose network can be taken away without a word to the gate. */
  async function behindRelay(): Promise<[FakeClient, TcpRelay]> {
    const { port, url } = cluster.gate;
    const relay = await TcpRelay.start(port);
    relays.push(relay);
    return [await FakeClient.connect(url.replace(`:${port}`, `:${relay.port}`)), relay];
  }

  /** The code of the error of a login, or `ok`. */
  async function login(client: FakeClient, uid = 'ada'): Promise<string> {
    try {
      await client.request('chat/login', { name: uid });
      return 'ok';
    } catch (error) {
      return (error as { code: string }).code;
    }
  }

  const onlineAs = (uid = 'ada'): Promise<readonly string[]> => cluster.api.getClientIdByUid(uid);
  const probed = (outcome: string): number => cluster.gate.app.get(GateCounters).get('logins_probed', outcome);

  describe.each([
    ['the same gate', 1],
    ['another gate', 2],
  ])('on %s', (_, gates) => {
    const newcomer = (): Promise<FakeClient> => cluster.connect({ gate: gates - 1 });

    it('gets in once the client that had the uid does not answer', async () => {
      await start(gates);
      const [lost, relay] = await behindRelay();
      expect(await login(lost)).toBe('ok');
      await lost.request('session/set', { key: 'mood', value: 'calm' });
      relay.hold();
      const client = await newcomer();
      const from = performance.now();
      expect(await login(client)).toBe('ok');
      const took = performance.now() - from;
      expect(took).toBeGreaterThan(PROBE_MS - 100);
      expect(took).toBeLessThan(PROBE_MS + LINK_MS);
      expect(await onlineAs()).toEqual([client.clientId]);
      expect(await client.request('session/get')).toMatchObject({ userId: 'ada' });
      expect(probed('silent')).toBe(1);
      expect(cluster.gate.app.get(GateCounters).get('connections_closed', HEARTBEAT_TIMEOUT)).toBe(1);
    });

    it('is refused while that client answers, with one ping for all logins', async () => {
      await start(gates);
      const holder = await cluster.connect();
      let pings = 0;
      holder.socket.on('ping', () => pings++);
      expect(await login(holder)).toBe('ok');
      const clients = await Promise.all(Array.from({ length: 20 }, newcomer));
      const from = performance.now();
      expect(new Set(await Promise.all(clients.map(client => login(client))))).toEqual(new Set(['FORBIDDEN']));
      for (const client of clients) expect(await login(client)).toBe('FORBIDDEN');
      // One for each two seconds that have begun: the machine may be slow.
      const periods = Math.ceil((performance.now() - from) / PROBE_MS);
      expect(pings).toBeGreaterThanOrEqual(1);
      expect(pings).toBeLessThanOrEqual(periods);
      expect(probed('answered')).toBe(pings);
      expect(await onlineAs()).toEqual([holder.clientId]);
      expect([holder, ...clients].map(client => client.closedWith)).not.toContainEqual(expect.anything());
    });

    it('is one of many: exactly one of them gets in', async () => {
      await start(gates);
      const [lost, relay] = await behindRelay();
      expect(await login(lost)).toBe('ok');
      relay.hold();
      const clients = await Promise.all([...Array.from({ length: 6 }, newcomer), cluster.connect(), cluster.connect()]);
      const outcomes = await Promise.all(clients.map(client => login(client)));
      expect(outcomes.filter(outcome => outcome === 'ok')).toHaveLength(1);
      expect(new Set(outcomes)).toEqual(new Set(['ok', 'FORBIDDEN']));
      expect(await onlineAs()).toEqual([clients[outcomes.indexOf('ok')]?.clientId]);
      expect(probed('silent')).toBe(1);
    });

    it('depends for clients over TCP on their codec', async () => {
      await start(gates, { tcp: { port: 0, codec: 'frame' } });
      const port = cluster.gate.app.get(Gate).tcpPort as number;
      const [silent, answering] = [
        await BinaryClient.overTcp(port, { codec: 'frame' }),
        await BinaryClient.overTcp(port, { codec: 'frame' }),
      ];
      await silent.request('chat/login', { name: 'silent' });
      await answering.request('chat/login', { name: 'answering' });
      const pong = (): void => {
        const isPinged = answering.messages.some(({ kind }) => kind === FrameKind.ping);
        if (isPinged) answering.sendFrame(FrameKind.pong, 0, '');
      };
      answering.transport.on('data', pong);
      const client = await newcomer();
      expect(await login(client, 'answering')).toBe('FORBIDDEN');
      expect(await login(client, 'silent')).toBe('ok');
      await silent.closed;
      expect(answering.closedWith).toBeUndefined();
      answering.destroy();
    });

    it('is refused at once for a client whose codec has no ping', async () => {
      await start(gates, { tcp: { port: 0, codec: 'pack' } });
      const holder = await BinaryClient.overTcp(cluster.gate.app.get(Gate).tcpPort as number, { codec: 'pack' });
      holder.send('chat/login', { name: 'ada' });
      await waitUntil('the first login', async () => (await onlineAs()).length === 1);
      expect(await login(await newcomer())).toBe('FORBIDDEN');
      expect(probed('no_ping')).toBe(1);
      holder.destroy();
    });
  });

  it('is refused at once by a gate of a version that does not probe', async () => {
    await start(2);
    const [lost, relay] = await behindRelay();
    expect(await login(lost)).toBe('ok');
    relay.hold();
    const { dispatcher } = cluster.gate.app.get(LinkNode);
    const unknown = (): never => {
      throw new GateError('UNKNOWN_OPERATION');
    };
    dispatcher.serve({ probe: gateContract.probe }, { probe: unknown });
    const client = await cluster.connect({ gate: 1 });
    const from = performance.now();
    expect(await login(client)).toBe('FORBIDDEN');
    expect(performance.now() - from).toBeLessThan(PROBE_MS - 500);
    expect(await onlineAs()).toEqual([lost.clientId]);
  });
});
