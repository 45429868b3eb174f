import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown, type Provider } from '@nestjs/common';
import { assertNodeId, type Link, LinkNode, NodeMetrics, type NodeRole } from '@nestgate/link';
import { BoundedLog } from '../log/bounded-log.js';
import { GatewayApi } from '../gateway/gateway-api.js';
import { WorkerMetrics } from '../metrics/worker-metrics.js';
import { GateTransport } from '../topics/gate-transport.js';
import { TopicExplorer } from '../topics/topic-explorer.js';
import { CurrentClient } from '../topics/current-client.js';
import { createLink, generateNodeId, NODE_OPTIONS, type NodeOptions } from './node-options.js';

/** The `Link` an app uses. Override this provider to bring a driver of your own. */
export const LINK = Symbol('nestgate:link');

/** Joins the link when the app starts, and leaves it last when the app ends. */
@Injectable()
export class NodeLifecycle implements OnApplicationBootstrap, OnApplicationShutdown {
  constructor(
    private readonly node: LinkNode,
    private readonly metrics: NodeMetrics,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    await this.node.open();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.node.close();
    this.metrics.stop();
  }
}

/** What every app with a link has: the node, the `GatewayApi`, and, where topics are handled, the transport. */
export function nodeProviders(role: NodeRole): Provider[] {
  const shared: Provider[] = [
    { provide: LINK, useFactory: createLink, inject: [NODE_OPTIONS] },
    {
      provide: LinkNode,
      useFactory: (link: Link, options: NodeOptions) => createNode(role, link, options),
      inject: [LINK, NODE_OPTIONS],
    },
    { provide: NodeMetrics, useFactory: (node: LinkNode) => new NodeMetrics(node), inject: [LinkNode] },
    NodeLifecycle,
    GatewayApi,
  ];
  return role === 'api' ? shared : [...shared, CurrentClient, TopicExplorer, GateTransport, WorkerMetrics];
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
  const log = new BoundedLog('LinkNode');
  return new LinkNode({
    link,
    self: { id, role, epoch: Date.now().toString(36), modules: [], draining: false },
    onDefect: error => log.error(error),
  });
}
