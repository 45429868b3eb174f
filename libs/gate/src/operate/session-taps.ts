import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { type GateTapAnswer, LinkNode, type TapAnswer } from '@nestgate/link';
import { Deadline, DeadlineWheel } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { BoundedLog } from '@nestgate/worker/internal';
import type { ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import { TapRedactor } from '../hooks/tap-redactor.js';
import { Hub } from '../hub/hub.js';
import { SessionTap } from './session-tap.js';
import { TapWire } from './tap-wire.js';

/** Taps of one gate. */
const MAX_TAPS = 16;
/** Taps of them that are by topic: each listens to many sessions. */
const MAX_TOPIC_TAPS = 2;
/** Sessions of a gate that a tap by topic listens to. */
const MAX_SESSIONS = 1_000;
/** A tap that nobody has read for so long ends, in milliseconds. */
const UNREAD_MS = 15_000;

/** A tap with what ends it. */
class OpenTap extends Deadline {
  /** The sessions that it listens to. */
  readonly wires = new Map<ClientAgent, TapWire>();

  constructor(
    readonly tap: SessionTap,
    private readonly onExpire: (open: OpenTap) => void,
  ) {
    super();
  }

  override expire(): void {
    this.onExpire(this);
  }
}

/** The sessions of this gate that operators tap. */
@Injectable()
export class SessionTaps implements OnApplicationShutdown {
  private readonly log = new BoundedLog('GateAudit');
  private readonly wheel: DeadlineWheel;
  /** By number those of one session, by the id of their caller those of a topic. */
  private readonly taps = new Map<number | string, OpenTap>();
  private last = 0;

  constructor(
    private readonly node: LinkNode,
    private readonly hub: Hub,
    private readonly counters: GateCounters,
    private readonly redactor: TapRedactor,
  ) {
    this.wheel = new DeadlineWheel(undefined, error => node.reportDefect(error, 'tap'));
  }

  /**
   * Begins to tap a session, as the node `by` has asked.
   * @throws {GateError} `SESSION_NOT_FOUND`; `LIMIT_EXCEEDED` when too many are tapped.
   */
  begin(clientId: string, topic: string | undefined, by: string): TapAnswer {
    const agent = this.hub.get(clientId);
    const open = this.open(++this.last, topic, false);
    this.listen(open, agent);
    this.log.warn(`${by} taps ${clientId}${topic === undefined ? '' : `, only ${topic}`}`);
    return this.read(open, 0);
  }

  /** What a tap has seen since the answer with this cursor. */
  next(cursor: string): TapAnswer {
    const [, id, after] = /^(\d{1,15})-(\d{1,15})$/.exec(cursor) ?? [];
    const open = this.taps.get(Number(id));
    if (!open) return { frames: [], cursor, skipped: 0, endsInMs: 0, isOver: true };
    this.leaveClosed(open);
    if (open.wires.size === 0) this.end(open);
    return this.read(open, Number(after));
  }

  /**
   * Begins to tap the sessions of this gate for frames of a topic or module, under an id of the caller.
   * @throws {GateError} `LIMIT_EXCEEDED` when there are too many taps.
   */
  beginTopic(id: string, topic: string, by: string): GateTapAnswer {
    const byTopic = [...this.taps.keys()].filter(key => typeof key === 'string').length;
    if (byTopic >= MAX_TOPIC_TAPS) this.refuse(`A gate has ${MAX_TOPIC_TAPS} taps by topic at most`);
    this.open(id, topic, true);
    this.log.warn(`${by} taps all sessions, only ${topic}`);
    return this.nextOfTopic(id);
  }

  /** What a tap by topic has seen since it was asked last. It listens to sessions that have come meanwhile too. */
  nextOfTopic(id: string): GateTapAnswer {
    const { hub } = this;
    const open = this.taps.get(id);
    if (!open) return { frames: [], skipped: 0, endsInMs: 0, isOver: true, tapped: 0, clients: hub.size };
    this.leaveClosed(open);
    for (const agent of hub.all()) {
      if (open.wires.size >= MAX_SESSIONS) break;
      if (!open.wires.has(agent)) this.listen(open, agent);
    }
    const { frames, skipped, endsInMs, isOver } = this.read(open, open.tap.taken);
    open.tap.taken = frames.at(-1)?.n ?? open.tap.taken;
    return { frames, skipped, endsInMs, isOver, tapped: open.wires.size, clients: hub.size };
  }

  onApplicationShutdown(): void {
    this.wheel.stop();
    for (const open of this.taps.values()) this.end(open);
  }

  private open(id: number | string, topic: string | undefined, namesClients: boolean): OpenTap {
    if (this.taps.size >= MAX_TAPS) this.refuse(`A gate has ${MAX_TAPS} taps at most`);
    const onDefect = (error: unknown): void => this.node.reportDefect(error, 'tap');
    const open = new OpenTap(new SessionTap(id, topic, namesClients, this.redactor, onDefect), each => this.end(each));
    this.taps.set(id, open);
    return open;
  }

  private refuse(message: string): never {
    this.counters.add('limits_exceeded', 'taps');
    throw new GateError('LIMIT_EXCEEDED', message);
  }

  private listen(open: OpenTap, agent: ClientAgent): void {
    const wire = agent.wire instanceof TapWire ? agent.wire : new TapWire(agent.wire, agent);
    wire.taps.add(open.tap);
    agent.replaceWire(wire);
    open.wires.set(agent, wire);
  }

  /** Sessions that have ended need no ear, and make room for others. */
  private leaveClosed(open: OpenTap): void {
    for (const [agent, wire] of open.wires) if (agent.isClosed) this.leave(open, agent, wire);
  }

  private leave({ tap, wires }: OpenTap, agent: ClientAgent, wire: TapWire): void {
    wires.delete(agent);
    wire.taps.delete(tap);
    if (wire.taps.size === 0 && agent.wire === wire) agent.replaceWire(wire.inner);
  }

  /** Each reading puts the end off, up to that of the tap itself. */
  private read({ tap }: OpenTap, after: number): TapAnswer {
    const open = this.taps.get(tap.id);
    if (open) {
      this.wheel.remove(open);
      this.wheel.add(open, Math.min(performance.now() + UNREAD_MS, tap.endsAt));
    }
    return tap.read(after);
  }

  private end(open: OpenTap): void {
    open.tap.isOver = true;
    this.taps.delete(open.tap.id);
    this.wheel.remove(open);
    for (const [agent, wire] of open.wires) this.leave(open, agent, wire);
  }
}
