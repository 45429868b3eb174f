import { randomBytes } from 'node:crypto';
import { type Link, MemoryBus, TcpLink } from '@nestgate/link';
import { GateError, urlForLog } from '@nestgate/protocol';

/** The {@link NodeOptions} of an app. */
export const NODE_OPTIONS = Symbol('nestgate:node-options');

/** How an app takes part in the cluster. */
export interface NodeOptions {
  /**
   * The link: a URL, or a `Link` of your own. `memory:` connects nothing but this process; `tcp://host:port[,host:port…]`
   * connects gates, which listen on the first address, with workers and services, which dial all of them; `nats://host:port` and
   * `tls://host:port` connect all of them through NATS (needs `@nats-io/transport-node`; see docs/nats.md).
   * @defaultValue 'memory:'
   */
  readonly link?: string | Link;
  /** What all nodes of a `tcp:` link know. May be left out on loopback, and with mutual TLS. */
  readonly secret?: string;
  /**
   * The id of this node: 1–64 of `[A-Za-z0-9_-]`, unique in the cluster.
   * @defaultValue generated at each start
   */
  readonly nodeId?: string;
  /**
   * How long calls of `GatewayApi` wait for the first gate, in milliseconds from the start; after that they reject with
   * `LINK_UNAVAILABLE` while there is none. 0: not at all. A gate has itself, and waits for none.
   * @defaultValue 3000
   */
  readonly gateWait?: number;
  /**
   * Whether the `…Current…` methods of `GatewayApi` work in handlers. It costs some of the speed of every handler.
   * With `false` they reject with `NO_CURRENT_CLIENT`, and the message names this option.
   * @defaultValue true
   */
  readonly currentClient?: boolean;
}

/** Makes the link that the options name. @throws {GateError} `BAD_ARGUMENT` for a URL that no driver knows. */
export async function createLink({ link = 'memory:', secret }: NodeOptions): Promise<Link> {
  if (typeof link !== 'string') return link;
  const scheme = /^([a-z]+):/.exec(link)?.[1];
  if (scheme === 'memory') return new MemoryBus().link();
  if (scheme === 'tcp') return new TcpLink({ url: link, secret });
  if (scheme === 'nats' || scheme === 'tls') {
    const { NatsLink } = await import('@nestgate/link/nats');
    return new NatsLink({ url: link });
  }
  throw new GateError(
    'BAD_ARGUMENT',
    `link: ${JSON.stringify(urlForLog(link))} is not supported; allowed: memory:, tcp://…, nats://…, tls://…, or a Link`,
  );
}

export function generateNodeId(role: string): string {
  return `${role}-${randomBytes(5).toString('hex')}`;
}
