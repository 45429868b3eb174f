import { Injectable } from '@nestjs/common';
import { type NodeFigures, NodeMetrics } from '@nestgate/link';
import type { TopicLoad } from '../topics/run/lane-table.js';
import { GateTransport } from '../topics/gate-transport.js';

/** What an app with handlers knows of itself at a moment. */
export interface WorkerFigures extends NodeFigures {
  readonly handlers: TopicLoad;
}

/**
 * The figures of an app that handles topics, for metrics of any kind. Nothing is counted for it on the way of a frame: a
 * reading costs as much as there are clients.
 */
@Injectable()
export class WorkerMetrics {
  constructor(
    private readonly node: NodeMetrics,
    private readonly transport: GateTransport,
  ) {}

  /** The figures as they are now. */
  snapshot(): WorkerFigures {
    return { ...this.node.snapshot(), handlers: this.transport.load() };
  }
}
