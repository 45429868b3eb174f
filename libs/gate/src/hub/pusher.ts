import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { inAsyncScope, LinkNode } from '@nestgate/link';
import { type Body, BodyKind, GateError, isTopic } from '@nestgate/protocol';
import { BoundedLog, clientErrorBody, encodeBody } from '@nestgate/worker';
import { bodyValue } from '../body-value.js';
import type { ClientAgent } from '../connection/client-agent.js';
import type { Wire } from '../connection/wire.js';
import { GateCounters } from '../gate-counters.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import { HookPatience } from '../hooks/hook-patience.js';
import { OpenSendMessageHook, SendMessageHook } from '../hooks/pack-hooks.js';

/** Sends pushes to clients: encoded once per kind of client, or, with a hook, made for each of them. */
@Injectable()
export class Pusher implements OnApplicationShutdown {
  private readonly log = new BoundedLog(Pusher.name);
  private readonly hook: SendMessageHook | undefined;
  private readonly patience: HookPatience;

  constructor(
    hook: SendMessageHook,
    private readonly counters: GateCounters,
    @Inject(RESOLVED_GATE_OPTIONS) { requestTimeout }: ResolvedGateOptions,
    node: LinkNode,
  ) {
    this.patience = new HookPatience(requestTimeout, this.log, 'SendMessageHook', node.defects.report);
    this.hook = hook instanceof OpenSendMessageHook ? undefined : hook;
  }

  /**
   * Sends to all but the excepted ones. Returns for how many it was queued.
   * @throws {GateError} `BAD_TOPIC`.
   */
  push(targets: Iterable<ClientAgent>, topic: string, body: Body, except?: ReadonlySet<ClientAgent>): number {
    this.checkTopic(topic);
    let queued = 0;
    const send = this.hook ? this.throughHook(this.hook, topic, body) : encodeOnce(topic, body);
    for (const agent of targets) if (!except?.has(agent) && send(agent)) queued++;
    return queued;
  }

  /** Sends to one client. False when it was not queued. @throws {GateError} `BAD_TOPIC`. */
  pushOne(agent: ClientAgent, topic: string, body: Body): boolean {
    this.checkTopic(topic);
    return this.hook ? this.throughHook(this.hook, topic, body)(agent) : agent.pushBody(topic, body);
  }

  onApplicationShutdown(): void {
    this.patience.stop();
  }

  /** A topic stands in a frame as it is. Whoever sends has checked it; another node of the cluster may not have. */
  private checkTopic(topic: string): void {
    if (isTopic(topic)) return;
    this.counters.add('packs_dropped', 'topic');
    throw new GateError('BAD_TOPIC');
  }

  private throughHook(hook: SendMessageHook, topic: string, body: Body): (agent: ClientAgent) => boolean {
    const shared = freeze(bodyValue(body));
    const { length } = body.bytes;
    return agent => {
      // Not begun: a hook that hangs would hold the body, though the message is refused.
      if (!agent.mayDefer(length)) return false;
      const { session } = agent;
      const value = body.kind === BodyKind.bytes ? Buffer.from(body.bytes) : shared;
      const encode = (changed: unknown): Uint8Array | undefined =>
        agent.wire.push(topic, changed === shared ? body : encodeBody(changed, topic));
      try {
        const changed = inAsyncScope(() => hook.onSend(session, topic, value));
        if (!(changed instanceof Promise)) return agent.sendFrame(encode(changed));
        const making = this.patience.bound(changed).then(encode);
        return agent.deferFrame(
          making.catch((error: unknown) => this.refuse(error)),
          length,
        );
      } catch (error) {
        this.refuse(error);
        return false;
      }
    };
  }

  /** A hook that throws refuses the push; only what it did not mean to throw is worth a log line. */
  private refuse(error: unknown): undefined {
    this.counters.add('packs_dropped', 'hook');
    const isUnsendable = error instanceof GateError && error.code === 'BAD_ARGUMENT';
    if (isUnsendable || clientErrorBody(error).code === 'INTERNAL') this.log.error(error);
  }
}

/**
 * Makes a parsed body unchangeable: the hook gets one value for all receivers, and what it wrote into it for one of them
 * must not reach the next. Without recursion, because bodies may nest deep. Bytes cannot be frozen, and are copied instead.
 */
function freeze(value: unknown): unknown {
  const open = [value];
  while (open.length > 0) {
    const part = open.pop();
    if (typeof part !== 'object' || part === null || ArrayBuffer.isView(part)) continue;
    Object.freeze(part);
    for (const inner of Object.values(part)) open.push(inner);
  }
  return value;
}

function encodeOnce(topic: string, body: Body): (agent: ClientAgent) => boolean {
  const frames = new Map<Wire, Uint8Array | undefined>();
  let lastWire: Wire | undefined;
  let frame: Uint8Array | undefined;
  return agent => {
    const { wire } = agent;
    if (wire !== lastWire) {
      if (!frames.has(wire)) frames.set(wire, wire.push(topic, body));
      frame = frames.get(wire);
      lastWire = wire;
    }
    return agent.sendFrame(frame);
  };
}
