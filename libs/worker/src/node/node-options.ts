import { randomBytes } from 'node:crypto';
import { type Link, MemoryBus, TcpLink } from '@nestgate/link';
import { assertKnownOptions, kindOf, optionKeys } from '@nestgate/link/internal';
import { GateError, urlForLog } from '@nestgate/protocol';
import { BoundedLog } from '../log/bounded-log.js';
import { checkContractOptions, type ContractOptions } from '../contract/contract-options.js';

/** The {@link NodeOptions} of an app, checked. */
export const NODE_OPTIONS = Symbol('nestgate:node-options');

/** Options of a node of the cluster. */
export interface NodeOptions extends ContractOptions {
  /**
   * The link: a URL, or a custom `Link`. `memory:` connects only apps of this process; `tcp://host:port[,host:port…]`
   * connects gates, which listen on the first address, with workers and services, which dial all of them; `nats://host:port` and
   * `tls://host:port` connect all of them through NATS (needs `@nats-io/transport-node`; see docs/nats.md).
   * @defaultValue 'memory:'
   */
  readonly link?: string | Link | undefined;
  /** Shared secret of all nodes of a `tcp:` link. Optional on loopback, and with mutual TLS. */
  readonly secret?: string | undefined;
  /**
   * The id of this node: 1–64 of `[A-Za-z0-9_-]`, unique in the cluster.
   * @defaultValue generated at each start
   */
  readonly nodeId?: string | undefined;
  /**
   * How long calls of `GatewayApi` wait for the first gate, in milliseconds from the start; after that they reject with
   * `LINK_UNAVAILABLE` while there is none. 0: no wait. A gate never waits.
   * @defaultValue 3000
   */
  readonly gateWait?: number | undefined;
  /**
   * Whether an app that does not serve joins the link: one made with `createApplicationContext`, or one that is initialized and never
   * told to listen, such as a script, a REPL or a test of its HTTP routes. With `true` it joins when it is initialized,
   * and announces no topics; a gate joins as one without clients. With `false`, calls of `GatewayApi` reject with
   * `LINK_UNAVAILABLE` there; those of a gate reach its own process only.
   * @defaultValue true for `GatewayApiModule`, false for `GateModule`; `WorkerModule` joins with the first call of `GatewayApi`
   */
  readonly joinWithoutServer?: boolean | undefined;
  /**
   * Whether the `…Current…` methods of `GatewayApi` work in handlers. It costs some of the speed of every handler.
   * With `false` they reject with `NO_CURRENT_CLIENT`, and the message names this option.
   * @defaultValue true
   */
  readonly currentClient?: boolean | undefined;
}

const NODE_OPTION_KEYS = optionKeys<NodeOptions>({
  link: true,
  secret: true,
  nodeId: true,
  gateWait: true,
  joinWithoutServer: true,
  currentClient: true,
  contracts: true,
  strict: true,
  validate: true,
});

/**
 * Checks the options of a module that joins a link. `extras` are what its `forRoot` takes beside them.
 * @throws {GateError} `BAD_ARGUMENT` for an option that is unknown or of another kind.
 */
export function checkNodeOptions(what: string, options: NodeOptions, extras: readonly string[]): NodeOptions {
  assertKnownOptions(what, options, [...NODE_OPTION_KEYS, ...extras]);
  checkLinkOptions(what, options);
  return options;
}

/** Whether there is a `link` that is `undefined`: an environment variable that is not set, more often than not. */
export function isLinkUnset(options: NodeOptions): boolean {
  return 'link' in options && options.link === undefined;
}

/**
 * The link of an app without clients whose `link` is `undefined`. It would be in a cluster of its own, where no gate is: opening it, which
 * is at the start, rejects with `BAD_ARGUMENT`. Until then nobody needs a link, as in tests that only make the providers.
 */
export function unsetLink(what: string): Link {
  const link = new MemoryBus().link();
  link.open = async () => {
    throw new GateError(
      'BAD_ARGUMENT',
      `${what}: option link is undefined, as when an environment variable is not set: this app would reach no gate. ` +
        'Allowed: a URL or a Link; or leave the key out for "memory:"',
    );
  };
  return link;
}

/** Checks the kinds of what a gate has of {@link NodeOptions} too. @throws {GateError} `BAD_ARGUMENT`. */
export function checkLinkOptions(what: string, options: NodeOptions): void {
  const { link, secret, nodeId, currentClient } = options;
  const isLink = typeof link === 'string' || typeof (link as Partial<Link> | null | undefined)?.open === 'function';
  if (link !== undefined && !isLink) refuse(what, 'link', 'a URL or a Link', link);
  if (secret !== undefined && typeof secret !== 'string') refuse(what, 'secret', 'a string', secret);
  if (nodeId !== undefined && typeof nodeId !== 'string') refuse(what, 'nodeId', 'a string', nodeId);
  if (currentClient !== undefined && typeof currentClient !== 'boolean')
    refuse(what, 'currentClient', 'true or false', currentClient);
  checkContractOptions(what, options);
}

function refuse(what: string, key: string, allowed: string, value: unknown): never {
  throw new GateError('BAD_ARGUMENT', `${what}: option ${key} must be ${allowed}, but ${kindOf(value)} was given`);
}

/** Makes the link that the options name. @throws {GateError} `BAD_ARGUMENT` for a URL that no driver knows. */
export async function createLink({ link = 'memory:', secret }: NodeOptions): Promise<Link> {
  if (typeof link !== 'string') return link;
  const scheme = /^([a-z]+):/.exec(link)?.[1];
  if (scheme === 'memory') return new MemoryBus().link();
  if (scheme === 'tcp') return new TcpLink({ url: link, secret });
  if (scheme === 'nats' || scheme === 'tls') {
    const { NatsLink } = await import('@nestgate/link/nats');
    const log = new BoundedLog('NatsLink');
    return new NatsLink({ url: link, onWarning: message => log.warn(message) });
  }
  throw new GateError(
    'BAD_ARGUMENT',
    `link: ${JSON.stringify(urlForLog(link))} is not supported; allowed: memory:, tcp://…, nats://…, tls://…, or a Link`,
  );
}

export function generateNodeId(role: string): string {
  return `${role}-${randomBytes(5).toString('hex')}`;
}
