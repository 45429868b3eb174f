import { readFileSync } from 'node:fs';
import { Inject, Injectable, Optional } from '@nestjs/common';
import { type GateReport, LinkNode, NodeMetrics, type NodeReport } from '@nestgate/link';
import { parseJson, reportContract } from '@nestgate/link/internal';
import { GateTransport } from '../topics/gate-transport.js';

/** Reports within this time are the same, in milliseconds. */
const SAME_MS = 500;

/** Makes the report of this node when an operator asks for it. Nothing is measured before that. */
@Injectable()
export class NodeReporter {
  private readonly version = ownVersion();
  private last: NodeReport | undefined;
  private madeAt = 0;
  private cpuMs = 0;

  constructor(
    private readonly node: LinkNode,
    @Inject(NodeMetrics) private readonly metrics: NodeMetrics,
    @Optional() private readonly transport?: GateTransport,
  ) {
    node.dispatcher.serve(reportContract, {
      report: (_args, call) => call.peer.reply(call, reportContract.report, this.report()),
    });
  }

  /** The report as it is now. */
  report(gate?: GateReport): NodeReport {
    const now = performance.now();
    if (this.last && now - this.madeAt < SAME_MS) return { ...this.last, clock: Date.now(), gate };
    const { user, system } = process.cpuUsage();
    const cpuMs = (user + system) / 1_000;
    const { isDraining, link, loopDelay } = this.metrics.snapshot();
    const { id, role } = this.node.info;
    this.last = {
      id,
      role,
      version: this.version,
      runtime: process.version,
      clock: Date.now(),
      uptimeMs: Math.round(process.uptime() * 1_000),
      cpu: this.last ? (cpuMs - this.cpuMs) / (now - this.madeAt) : 0,
      loopDelayMs: loopDelay.p99,
      memoryBytes: process.memoryUsage.rss(),
      isDraining,
      isLinkUp: link.isUp,
      peers: link.peers,
      handlers: this.transport?.load(),
    };
    this.madeAt = now;
    this.cpuMs = cpuMs;
    return { ...this.last, gate };
  }
}

/** The version of this package; in a bundle it is not known. */
function ownVersion(): string {
  try {
    const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
    const { name, version } = parseJson<{ readonly name: string; readonly version: string }>(text);
    return name === '@nestgate/worker' ? version : 'unknown';
  } catch {
    return 'unknown';
  }
}
