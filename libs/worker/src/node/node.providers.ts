import {
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type Provider,
  type Type,
} from '@nestjs/common';
import { type Link, LinkNode, NodeMetrics, type NodeRole } from '@nestgate/link';
import { assertNodeId } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { BoundedLog } from '../log/bounded-log.js';
import { GatewayApi } from '../gateway/gateway-api.js';
import { checkPushes } from '../gateway/push-check.js';
import { WorkerMetrics } from '../metrics/worker-metrics.js';
import { ClusterApi } from '../operate/cluster-api.js';
import { NodeReporter } from '../operate/node-reporter.js';
import { HandlerObservers } from '../telemetry/handler-observers.js';
import { tracePushes } from '../telemetry/trace-pushes.js';
import { GateTransport } from '../topics/gate-transport.js';
import { TopicExplorer } from '../topics/handler/topic-explorer.js';
import { CurrentClient } from '../topics/run/current-client.js';
import { AppStart } from './app-start.js';
import { NodeLog } from './node-log.js';
import { contractChecks, contractEntries } from '../contract/contract-options.js';
import { createLink, generateNodeId, isLinkUnset, NODE_OPTIONS, type NodeOptions, unsetLink } from './node-options.js';
import { OneNode } from './one-node.js';

/** The longest `gateWait`, in milliseconds. */
const MAX_GATE_WAIT_MS = 600_000;

/** The `Link` an app uses. Override this provider to bring a driver of your own. */
export const LINK = Symbol('nestgate:link');

/** Joins the link when the app starts to serve, or before (`joinWithoutServer`), and leaves it last when the app ends. */
@Injectable()
export class NodeLifecycle implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly log: NodeLog;

  constructor(
    private readonly node: LinkNode,
    private readonly metrics: NodeMetrics,
    @Inject(LINK) link: Link,
    @Inject(NODE_OPTIONS) private readonly options: NodeOptions,
    start: AppStart,
    gateway: GatewayApi,
  ) {
    this.log = new NodeLog(node, link);
    if (contractChecks(options).results) checkPushes(gateway, contractEntries(options.contracts).values());
    // Before the link is open: that may take until there is a server.
    void start.add('prepare', () => this.log.start());
    void start.add('prepare', () => tracePushes(gateway));
    void start.add('link', () => this.join());
  }

  /**
   * A service that only calls has nothing that could come too early: it joins before the hooks of other modules run, which may use
   * `GatewayApi`. A worker without a server joins with its first call.
   */
  async onApplicationBootstrap(): Promise<void> {
    const { role } = this.node.info;
    const joins = this.options.joinWithoutServer ?? role === 'api';
    if (joins) await this.join();
  }

  async onApplicationShutdown(): Promise<void> {
    this.log.stop();
    await this.node.close();
    this.metrics.stop();
  }

  private async join(): Promise<void> {
    this.log.start();
    await this.node.open();
    this.log.noteJoined();
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
    ClusterApi,
    NodeReporter,
  ];
  return role === 'api'
    ? shared
    : [...shared, CurrentClient, HandlerObservers, OneNode, TopicExplorer, GateTransport, WorkerMetrics];
}

/** What {@link nodeProviders} gives to the rest of the app. */
export function nodeExports(role: NodeRole): Type[] {
  const shared = [LinkNode, GatewayApi, ClusterApi, NodeMetrics];
  return role === 'api' ? shared : [...shared, GateTransport, HandlerObservers, WorkerMetrics];
}

/** The node of an app, not yet on its link. */
export function createNode(role: NodeRole, link: Link, options: NodeOptions): LinkNode {
  const id = options.nodeId ?? generateNodeId(role);
  assertNodeId(id);
  const { gateWait, joinWithoutServer } = options;
  if (joinWithoutServer !== undefined && typeof joinWithoutServer !== 'boolean') {
    throw new GateError(
      'BAD_ARGUMENT',
      `joinWithoutServer: ${typeof joinWithoutServer} is not allowed; allowed: true, false`,
    );
  }
  if (gateWait !== undefined && !(Number.isInteger(gateWait) && gateWait >= 0 && gateWait <= MAX_GATE_WAIT_MS)) {
    throw new GateError('BAD_ARGUMENT', `gateWait: ${gateWait} is not allowed; allowed: 0 to ${MAX_GATE_WAIT_MS}`);
  }
  const log = new BoundedLog('LinkNode');
  return new LinkNode({
    link,
    gateWait,
    joinsOnCall: joinWithoutServer !== false,
    self: { id, role, epoch: Date.now().toString(36), modules: [], draining: false },
    onDefect: (error, where) => log.error(error, where),
    onRefused: (who, why) => log.warn(`A connection of ${who} was refused: ${why}`),
  });
}
