import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import { inAsyncScope } from '@nestgate/link/internal';
import { type Body, BodyKind, GateError, isTopic } from '@nestgate/protocol';
import { BoundedLog, clientErrorBody, encodeBody } from '@nestgate/worker/internal';
import { bodyValue } from '../body-value.js';
import type { ClientAgent } from '../client/client-agent.js';
import type { Wire } from '../codec/wire.js';
import { GateCounters } from '../gate-counters.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import { HookTimeout } from '../hooks/hook-timeout.js';
import { OpenSendMessageHook, SendMessageHook } from '../hooks/pack-hooks.js';

/** Sends pushes to clients: encoded once per kind of client, or, with a hook, made for each of them. */
@Injectable()
export class Pusher implements OnApplicationShutdown {
  private readonly log = new BoundedLog(Pusher.name);
  private readonly hook: SendMessageHook | undefined;
  private readonly hookTimeout: HookTimeout;

  constructor(
    hook: SendMessageHook,
    private readonly counters: GateCounters,
    @Inject(RESOLVED_GATE_OPTIONS) { requestTimeout }: ResolvedGateOptions,
    node: LinkNode,
  ) {
    this.hookTimeout = new HookTimeout(requestTimeout, this.log, 'SendMessageHook', node.defects.report);
    this.hook = hook instanceof OpenSendMessageHook ? undefined : hook;
  }

  /**
   * Sends to all agents except the excluded ones. Returns the number for which it was queued.
   * @throws {GateError} `BAD_TOPIC`.
   */
  push(targets: Iterable<ClientAgent>, topic: string, body: Body, except?: ReadonlySet<ClientAgent>): number {
    this.checkTopic(topic);
    let queued = 0;
    const send = this.hook ? this.throughHook(this.hook, topic, body) : encodeOnce(topic, body);
    for (const agent of targets) if (!except?.has(agent) && send(agent)) queued++;
    return queued;
  }

  /** As {@link push}, and says for which agents it was queued. @throws {GateError} `BAD_TOPIC`. */
  pushEach(
    targets: Iterable<ClientAgent>,
    topic: string,
    body: Body,
    onQueued: (agent: ClientAgent) => void,
    except?: ReadonlySet<ClientAgent>,
  ): void {
    this.checkTopic(topic);
    const send = this.hook ? this.throughHook(this.hook, topic, body) : encodeOnce(topic, body);
    for (const agent of targets) if (!except?.has(agent) && send(agent)) onQueued(agent);
  }

  /** Sends to one client. False when it was not queued. @throws {GateError} `BAD_TOPIC`. */
  pushOne(agent: ClientAgent, topic: string, body: Body): boolean {
    this.checkTopic(topic);
    return this.hook ? this.throughHook(this.hook, topic, body)(agent) : agent.pushBody(topic, body);
  }

  onApplicationShutdown(): void {
    this.hookTimeout.stop();
  }

  /** A topic is written to a frame unescaped. The sender has checked it, but another node may be faulty. */
  private checkTopic(topic: string): void {
    if (isTopic(topic)) return;
    this.counters.add('packs_dropped', 'topic');
    throw new GateError('BAD_TOPIC');
  }

  private throughHook(hook: SendMessageHook, topic: string, body: Body): (agent: ClientAgent) => boolean {
    const shared = freeze(bodyValue(body));
    const { length } = body.bytes;
    return agent => {
      // The hook is not called: a hanging hook would keep the body in memory although the message is refused.
      if (!agent.mayDefer(length)) return false;
      const { session } = agent;
      const value = body.kind === BodyKind.bytes ? Buffer.from(body.bytes) : shared;
      const encode = (changed: unknown): Uint8Array | undefined =>
        agent.wire.push(topic, changed === shared ? body : encodeBody(changed, topic));
      try {
        const changed = inAsyncScope(() => hook.onSend(session, topic, value));
        if (!(changed instanceof Promise)) return agent.sendFrame(encode(changed));
        const making = this.hookTimeout.bound(changed).then(encode);
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
 * Freezes a parsed body: the hook receives one value for all recipients, and a change for one of them must not reach the next. Not
 * recursive, because bodies may nest deep. Bytes cannot be frozen, and are copied instead.
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
