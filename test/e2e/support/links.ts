import { type Link, TcpLink } from '@nestgate/link';
import { NatsLink } from '@nestgate/link/nats';
import { freePort, NatsProcess } from '@nestgate/testing';

/** The kinds of link, for suites that must hold over each of them. */
export const LINKS = ['memory', 'tcp', 'nats'] as const;
export type LinkName = (typeof LINKS)[number];

/** Links for the nodes of test clusters, and the server behind them, if there is one. */
export class LinkSupply {
  private constructor(
    private readonly name: LinkName,
    private readonly nats: NatsProcess | undefined,
  ) {}

  static async open(name: LinkName): Promise<LinkSupply> {
    return new LinkSupply(name, name === 'nats' ? await NatsProcess.start() : undefined);
  }

  /**
   * What `createTestCluster` takes as `link`, for one cluster of so many gates; `undefined` leaves it to its default, memory.
   * With `meshed`, gates know each other, as they must where gate apps call other gates.
   */
  async forCluster(
    gates: number,
    { meshed = false } = {},
  ): Promise<((role: 'gate' | 'worker' | 'api', index: number) => Link) | undefined> {
    const { nats, name } = this;
    if (nats) {
      const namespace = `ns-${Math.random().toString(36).slice(2)}`;
      return () => new NatsLink({ url: nats.url, namespace });
    }
    if (name === 'memory') return undefined;
    const ports = await Promise.all(Array.from({ length: gates }, freePort));
    const addresses = ports.map(port => `127.0.0.1:${port}`);
    return (role, index) => {
      const url = role === 'gate' ? gateUrl(addresses, index, meshed) : `tcp://${addresses.join(',')}`;
      return new TcpLink({ url, secret: 'shared' });
    };
  }

  async close(): Promise<void> {
    await this.nats?.end();
  }
}

/** A gate dials the gates before it: one connection is enough for two. */
function gateUrl(addresses: readonly string[], index: number, meshed: boolean): string {
  const peers = meshed ? addresses.filter((_, other) => other !== index) : [];
  return `tcp://${addresses[index]}${peers.length > 0 ? `?peers=${peers.join(',')}` : ''}`;
}
