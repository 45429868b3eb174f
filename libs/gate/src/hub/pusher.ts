import { Injectable, Logger } from '@nestjs/common';
import { createCaller, LinkNode, sessionContract } from '@nestgate/link';
import { type Body, GateError } from '@nestgate/protocol';
import { encodeBody, Session } from '@nestgate/worker';
import { bodyValue } from '../body-value.js';
import type { ClientAgent } from '../connection/client-agent.js';
import type { Wire } from '../connection/wire.js';
import { GateCounters } from '../gate-counters.js';
import { OpenSendMessageHook, SendMessageHook } from '../hooks/pack-hooks.js';

/** Sends pushes to clients: encoded once per kind of client, or, with a hook, made for each of them. */
@Injectable()
export class Pusher {
  private readonly logger = new Logger(Pusher.name);
  private readonly gate;
  private readonly hook: SendMessageHook | undefined;

  constructor(
    node: LinkNode,
    hook: SendMessageHook,
    private readonly counters: GateCounters,
  ) {
    this.gate = createCaller(node, sessionContract);
    this.hook = hook instanceof OpenSendMessageHook ? undefined : hook;
  }

  /** Sends to all but the excepted ones. Returns for how many it was queued. */
  push(targets: Iterable<ClientAgent>, topic: string, body: Body, except?: ReadonlySet<ClientAgent>): number {
    let queued = 0;
    const send = this.hook ? this.throughHook(this.hook, topic, body) : encodeOnce(topic, body);
    for (const agent of targets) if (!except?.has(agent) && send(agent)) queued++;
    return queued;
  }

  private throughHook(hook: SendMessageHook, topic: string, body: Body): (agent: ClientAgent) => boolean {
    const value = bodyValue(body);
    return agent => {
      const session = new Session(agent.session.snapshot(), this.gate, agent);
      const encode = (changed: unknown): Uint8Array | undefined =>
        agent.wire.push(topic, changed === value ? body : encodeBody(changed));
      try {
        const changed = hook.onSend(session, topic, value);
        if (!(changed instanceof Promise)) return agent.sendFrame(encode(changed));
        return agent.deferFrame(changed.then(encode).catch((error: unknown) => this.refuse(error)));
      } catch (error) {
        this.refuse(error);
        return false;
      }
    };
  }

  /** A hook that throws refuses the push; only what it did not mean to throw is worth a log line. */
  private refuse(error: unknown): undefined {
    this.counters.add('packs_dropped', 'hook');
    if (!(error instanceof GateError)) this.logger.error(error);
  }
}

function encodeOnce(topic: string, body: Body): (agent: ClientAgent) => boolean {
  const frames = new Map<Wire, Uint8Array | undefined>();
  return agent => {
    const { wire } = agent;
    let frame = frames.get(wire);
    if (!frame && !frames.has(wire)) frames.set(wire, (frame = wire.push(topic, body)));
    return agent.sendFrame(frame);
  };
}
