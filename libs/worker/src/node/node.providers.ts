import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown, type Provider } from '@nestjs/common';
import { assertNodeId, type Link, LinkNode, NodeMetrics, type NodeRole } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';
import { BoundedLog } from '../log/bounded-log.js';
import { GatewayApi } from '../gateway/gateway-api.js';
import { WorkerMetrics } from '../metrics/worker-metrics.js';
import { GateTransport } from '../topics/gate-transport.js';
import { TopicExplorer } from '../topics/topic-explorer.js';
import { CurrentClient } from '../topics/current-client.js';
import { createLink, generateNodeId, isLinkUnset, NODE_OPTIONS, type NodeOptions, unsetLink } from './node-options.js';
import { OneNode } from './one-node.js';

/** The longest `gateWait`, in milliseconds. */
const MAX_GATE_WAIT_MS = 600_000;
/** How long after the start a gate that was not reached is logged, in milliseconds. */
const WARN_AFTER_MS = 5_000;

/** The `Link` an app uses. Override this provider to bring a driver of your own. */
export const LINK = Symbol('nestgate:link');

/** Joins the link when the app starts, and leaves it last when the app ends. */
@Injectable()
export class NodeLifecycle implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly log = new BoundedLog(NodeLifecycle.name);
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly node: LinkNode,
    private readonly metrics: NodeMetrics,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    // Before the link is open: that may take until there is a server.
    this.timer ??= setTimeout(
      this.node.defects.guard('node.warn', () => this.warnOfMissing()),
      WARN_AFTER_MS,
    ).unref();
    await this.node.open();
  }

  async onApplicationShutdown(): Promise<void> {
    clearTimeout(this.timer);
    await this.node.close();
    this.metrics.stop();
  }

  /** A wrong address, a port of something else or a name of nobody: the process runs, and does nothing. */
  private warnOfMissing(): void {
    const { isUp, unreachedGates } = this.node;
    if (isUp && unreachedGates.length === 0) return;
    const gates = unreachedGates.map(({ name, reason }) => `${name} (${reason ?? 'no answer yet'})`).join(', ');
    this.log.warn(
      `${isUp ? 'Not all gates are' : 'No gate is'} in reach ${WARN_AFTER_MS / 1000} s after the start${gates && `: ${gates}`}`,
    );
  }
}

/** What every app with a link has: the node, the `GatewayApi`, and, where topics are handled, the transport. */
export function nodeProviders(role: NodeRole): Provider[] {
  const shared: Provider[] = [
    {
      provide: LINK,
      useFactory: (options: NodeOptions) => {
        if (role === 'gate' || !isLinkUnset(options)) return createLink(options);
        return unsetLink(role === 'api' ? 'GatewayApiModule' : 'WorkerModule');
      },
      inject: [NODE_OPTIONS],
    },
    {
      provide: LinkNode,
      useFactory: (link: Link, options: NodeOptions) => createNode(role, link, options),
      inject: [LINK, NODE_OPTIONS],
    },
    { provide: NodeMetrics, useFactory: (node: LinkNode) => new NodeMetrics(node), inject: [LinkNode] },
    NodeLifecycle,
    GatewayApi,
  ];
  return role === 'api' ? shared : [...shared, CurrentClient, OneNode, TopicExplorer, GateTransport, WorkerMetrics];
}

/** What {@link nodeProviders} gives to the rest of the app. */
export function nodeExports(role: NodeRole): Provider[] {
  const shared = [LinkNode, GatewayApi, NodeMetrics];
  return role === 'api' ? shared : [...shared, GateTransport, WorkerMetrics];
}

/** The node of an app, not yet on its link. */
export function createNode(role: NodeRole, link: Link, options: NodeOptions): LinkNode {
  const id = options.nodeId ?? generateNodeId(role);
  assertNodeId(id);
  const { gateWait } = options;
  if (gateWait !== undefined && !(Number.isInteger(gateWait) && gateWait >= 0 && gateWait <= MAX_GATE_WAIT_MS)) {
    throw new GateError('BAD_ARGUMENT', `gateWait: ${gateWait} is not allowed; allowed: 0 to ${MAX_GATE_WAIT_MS}`);
  }
  const log = new BoundedLog('LinkNode');
  return new LinkNode({
    link,
    gateWait,
    self: { id, role, epoch: Date.now().toString(36), modules: [], draining: false },
    onDefect: (error, where) => log.error(error, where),
  });
}
