import { afterEach, describe, expect, it } from '@jest/globals';
import type { LoginRule } from '@nestgate/gate';
import { LinkNode, TcpLink } from '@nestgate/link';
import { createTestCluster, freePort, type TestCluster, waitUntil } from '@nestgate/testing';
import { CuttableProxy } from '../support/cuttable-proxy.js';

describe('a login rule on gates that have been apart', () => {
  let cluster: TestCluster;
  let proxy: CuttableProxy;

  afterEach(async () => {
    await cluster.close();
    await proxy.close();
  });

  /** Two gates whose only way to each other can be cut. */
  async function start(login: LoginRule): Promise<void> {
    const ports = [await freePort(), await freePort()] as const;
    proxy = await CuttableProxy.start(ports[0]);
    // Only the second gate dials the first one. The first one has to name a peer too, and names itself.
    const url = (index: number) =>
      `tcp://127.0.0.1:${ports[index]}?peers=127.0.0.1:${index === 0 ? ports[0] : proxy.port}`;
    cluster = await createTestCluster({
      gates: 2,
      gate: { login },
      link: (_role, index) => new TcpLink({ url: url(index), secret: 'shared' }),
    });
    await meet();
  }

  const gatesKnown = (): number[] =>
    cluster.gates.map(({ app }) => {
      const peers = [...app.get(LinkNode).peers.values()];
      return peers.filter(peer => peer.info.role === 'gate').length;
    });
  const meet = () => waitUntil('the gates to meet', () => gatesKnown().every(count => count === 2), 15_000);
  const part = async (): Promise<void> => {
    proxy.cut();
    await waitUntil('the gates to part', () => gatesKnown().every(count => count === 1));
  };

  it.each([
    ['replace', 1],
    ['refuse', 0],
  ] as const)(
    '%s: keeps the one that the rule says, on both gates',
    async (rule, winner) => {
      await start(rule);
      const pair = [await cluster.connect({ gate: 0 }), await cluster.connect({ gate: 1 })];
      await part();
      for (const [gate, client] of pair.entries()) {
        await cluster.gates[gate]?.api.bindUid(client.clientId, 'ada');
        // Of two logins of one millisecond, on gates that do not hear each other, nobody can say which was first.
        const now = Date.now();
        await waitUntil('the next moment', () => Date.now() > now + 1);
      }
      expect(pair.map(client => client.closedWith)).toEqual([undefined, undefined]);
      proxy.mend();
      await meet();
      expect((await pair[1 - winner]?.closed)?.code).toBe(4001);
      await waitUntil('one to be left', async () => (await cluster.api.getClientIdByUid('ada')).length === 1);
      expect(await cluster.api.getClientIdByUid('ada')).toEqual([pair[winner]?.clientId]);
      expect(pair[winner]?.closedWith).toBeUndefined();
    },
    30_000,
  );
});
