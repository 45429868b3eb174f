import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { LinkNode, type TapAnswer } from '@nestgate/link';
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
/** A tap that nobody has read for so long ends, in milliseconds. */
const UNREAD_MS = 15_000;

/** A tap with what ends it. */
class OpenTap extends Deadline {
  constructor(
    readonly tap: SessionTap,
    readonly agent: ClientAgent,
    readonly wire: TapWire,
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
  private readonly taps = new Map<number, OpenTap>();
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
    if (this.taps.size >= MAX_TAPS) {
      this.counters.add('limits_exceeded', 'taps');
      throw new GateError('LIMIT_EXCEEDED', `A gate has ${MAX_TAPS} taps at most`);
    }
    const wire = agent.wire instanceof TapWire ? agent.wire : new TapWire(agent.wire);
    const onDefect = (error: unknown): void => this.node.reportDefect(error, 'tap');
    const tap = new SessionTap(++this.last, agent, topic, this.redactor, onDefect);
    wire.taps.add(tap);
    agent.replaceWire(wire);
    const open = new OpenTap(tap, agent, wire, each => this.end(each));
    this.taps.set(tap.id, open);
    this.log.warn(`${by} taps ${clientId}${topic === undefined ? '' : `, only ${topic}`}`);
    return this.read(open, 0);
  }

  /** What a tap has seen since the answer with this cursor. */
  next(cursor: string): TapAnswer {
    const [, id, after] = /^(\d{1,15})-(\d{1,15})$/.exec(cursor) ?? [];
    const open = this.taps.get(Number(id));
    if (!open) return { frames: [], cursor, skipped: 0, endsInMs: 0, isOver: true };
    if (open.agent.isClosed) this.end(open);
    return this.read(open, Number(after));
  }

  onApplicationShutdown(): void {
    this.wheel.stop();
    for (const open of this.taps.values()) this.end(open);
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
    const { tap, agent, wire } = open;
    tap.isOver = true;
    this.taps.delete(tap.id);
    this.wheel.remove(open);
    wire.taps.delete(tap);
    if (wire.taps.size === 0 && agent.wire === wire) agent.replaceWire(wire.inner);
  }
}
