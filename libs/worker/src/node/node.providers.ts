import {
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type Provider,
} from '@nestjs/common';
import { assertNodeId, type Link, LinkNode, type NodeRole } from '@nestgate/link';
import { GatewayApi } from '../gateway/gateway-api.js';
import { GateTransport } from '../topics/gate-transport.js';
import { TopicExplorer } from '../topics/topic-explorer.js';
import { CurrentClient } from '../topics/current-client.js';
import { createLink, generateNodeId, NODE_OPTIONS, type NodeOptions } from './node-options.js';

/** The `Link` an app uses. Override this provider to bring a driver of your own. */
export const LINK = Symbol('nestgate:link');

/** Joins the link when the app starts, and leaves it last when the app ends. */
@Injectable()
export class NodeLifecycle implements OnApplicationBootstrap, OnApplicationShutdown {
  constructor(private readonly node: LinkNode) {}

  async onApplicationBootstrap(): Promise<void> {
    await this.node.open();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.node.close();
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
    NodeLifecycle,
    GatewayApi,
  ];
  return role === 'api' ? shared : [...shared, CurrentClient, TopicExplorer, GateTransport];
}

/** What {@link nodeProviders} gives to the rest of the app. */
export function nodeExports(role: NodeRole): Provider[] {
  return role === 'api' ? [LinkNode, GatewayApi] : [LinkNode, GatewayApi, GateTransport];
}

/** The node of an app, not yet on its link. */
export function createNode(role: NodeRole, link: Link, options: NodeOptions): LinkNode {
  const id = options.nodeId ?? generateNodeId(role);
  assertNodeId(id);
  const logger = new Logger('LinkNode');
  return new LinkNode({
    link,
    self: { id, role, epoch: Date.now().toString(36), modules: [], draining: false },
    onDefect: error => logger.error(error),
  });
}
