import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import { askContract, DeadlineWheel } from '@nestgate/link/internal';
import { type Body, GateError, isTopic } from '@nestgate/protocol';
import type { ClientAgent } from '../client/client-agent.js';
import { AgentAsks } from './agent-asks.js';
import { Hub } from './hub.js';
import { Standstill } from './standstill.js';

/** Calls clients of this gate, for all nodes. */
@Injectable()
export class ClientAsks implements OnModuleInit, OnApplicationShutdown {
  private readonly wheel: DeadlineWheel;

  constructor(
    private readonly node: LinkNode,
    private readonly hub: Hub,
    private readonly standstill: Standstill,
  ) {
    this.wheel = new DeadlineWheel(undefined, error => node.reportDefect(error, 'ask.deadline'));
  }

  onModuleInit(): void {
    const handlers = this.standstill.guard(askContract, {
      ask: ({ clientId, topic, body }, { deadline }) => this.call(this.hub.get(clientId), topic, body, deadline),
    });
    this.node.dispatcher.serve(askContract, handlers);
  }

  onApplicationShutdown(): void {
    this.wheel.stop();
  }

  private call(agent: ClientAgent, topic: string, body: Body, deadline: number): Promise<Body> {
    // It is written to a frame unescaped. The sender has checked it, but another node may be faulty.
    if (!isTopic(topic)) throw new GateError('BAD_TOPIC');
    const asks = (agent.asks ??= new AgentAsks(agent, this.wheel)) as AgentAsks;
    return asks.call(topic, body, deadline);
  }
}
