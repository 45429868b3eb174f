import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { ClientMessage } from '@nestgate/link/internal';
import { type Body, type GateError, parseTraceParent } from '@nestgate/protocol';
import {
  AppStart,
  type FrameSpan,
  loadTelemetry,
  type ObservedFigure,
  type Telemetry,
} from '@nestgate/worker/internal';
import type { ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import { Hub } from '../hub/hub.js';
import { ClientRequest } from '../routing/client-request.js';
import { TopicRouter } from '../routing/topic-router.js';

/** A frame with a span, which ends with it. */
class TracedRequest extends ClientRequest {
  constructor(
    agent: ClientAgent,
    topic: string,
    id: number,
    private readonly span: FrameSpan,
  ) {
    super(agent, topic, id);
  }

  override succeed(body: Body): void {
    super.succeed(body);
    this.span.end();
  }

  override fail(error: GateError): void {
    super.fail(error);
    this.span.end(error);
  }
}

/**
 * Traces the frames of clients and reports the figures of the gate, when the application has set OpenTelemetry up. Without it the router makes
 * its requests as ever.
 */
@Injectable()
export class GateTelemetry implements OnApplicationShutdown {
  constructor(
    private readonly router: TopicRouter,
    private readonly hub: Hub,
    private readonly counters: GateCounters,
    start: AppStart,
  ) {
    void start.add('prepare', async () => {
      const telemetry = await loadTelemetry();
      if (telemetry) this.begin(telemetry);
    });
  }

  onApplicationShutdown(): void {
    this.router.trace = undefined;
  }

  private begin(telemetry: Telemetry): void {
    telemetry.observe(this.figures());
    this.router.trace = (agent: ClientAgent, topic: string, id: number, message: ClientMessage) => {
      const { sessionId, traceParent } = agent.sessionState.origin;
      const attributes = {
        'messaging.system': 'nestgate',
        'messaging.operation': 'receive',
        'messaging.destination.name': topic,
        'nestgate.client_id': sessionId,
      };
      const span = telemetry.frame(`${topic} receive`, attributes, parseTraceParent(traceParent));
      message.trace = span.trace;
      return new TracedRequest(agent, topic, id, span);
    };
  }

  private figures(): ObservedFigure[] {
    const { hub, counters } = this;
    const one = (read: () => number) => () => ({ '': read() });
    const refused = () => counters.snapshot()['frames_refused'] ?? {};
    return [
      {
        name: 'nestgate.connections',
        unit: '{client}',
        description: 'Clients, sessions without a connection included.',
        kind: 'gauge',
        read: one(() => hub.size),
      },
      {
        name: 'nestgate.frames.received',
        unit: '{frame}',
        description: 'Accepted frames of clients.',
        kind: 'counter',
        read: one(() => counters.framesReceived),
      },
      {
        name: 'nestgate.frames.handled',
        unit: '{frame}',
        description: 'Frames whose handler has ended without an error.',
        kind: 'counter',
        read: one(() => counters.framesHandled),
      },
      {
        name: 'nestgate.frames.refused',
        unit: '{frame}',
        description: 'Frames answered with an error, by code.',
        kind: 'counter',
        read: refused,
        label: 'error.type',
      },
      {
        name: 'nestgate.packs.queued',
        unit: '{message}',
        description: 'Messages queued for clients.',
        kind: 'counter',
        read: one(() => counters.packsQueued),
      },
    ];
  }
}
