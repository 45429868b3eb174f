import type { MessageHandler } from '@nestjs/microservices';
import type { LinkNode, NodeId } from '@nestgate/link';
import {
  Fifo,
  inAsyncScope,
  type Peer,
  PRESENCE_MARK_MS,
  presenceContract,
  type PresenceNotice,
  watchContract,
  present,
} from '@nestgate/link/internal';
import { isObservable, lastValueFrom } from 'rxjs';
import { BoundedLog } from '../log/bounded-log.js';
import { FairTurns, type TurnConsumer } from '../topics/run/fair-turns.js';
import { type PresenceEvent, presenceTopic } from './on-presence.decorator.js';
import { PresenceContext } from './presence-context.js';
import { PresenceMirror } from './presence-mirror.js';

/** How long a gate that was lost may take to come back with its clients, in milliseconds. */
const GRACE_MS = 2_000;
/** A gate of which nothing has come for so long is asked again, in milliseconds: three marks of it are missing. */
const SILENT_MS = 3.5 * PRESENCE_MARK_MS;
/** Events of different uids and groups are handled side by side in so many lines. */
const LINES = 16;
/** Maximum number of waiting events. More events are dropped and logged. */
const MAX_WAITING = 50_000;

/** Events that are handled one after another. */
class Line implements TurnConsumer {
  readonly waiting = new Fifo<PresenceEvent>();
  isBusy = false;
  isQueued = false;

  get canStart(): boolean {
    return !this.isBusy && this.waiting.length > 0;
  }
}

/** What has come from a gate. */
interface Watched {
  /** The number of the next notice; 0 while those that come are of no use, because one before them is missing. */
  next: number;
  /** When a useful one has come, or one was asked for; of `performance.now()`. */
  heardAt: number;
}

/** Watches all gates, and hands what happens there to the `@OnPresence` methods of the app. */
export class PresenceWatcher {
  private readonly log = new BoundedLog('OnPresence');
  private readonly mirror = new PresenceMirror(event => this.queue(event));
  private readonly lines = Array.from({ length: LINES }, () => new Line());
  private readonly turns: FairTurns<Line>;
  private readonly gates = new Map<Peer, Watched>();
  private readonly running = new Set<Promise<void>>();
  private readonly leaving = new Map<NodeId, NodeJS.Timeout>();
  private readonly context = new PresenceContext();
  private readonly listening: (() => void)[];
  private readonly timer: NodeJS.Timeout;
  private dropped = 0;

  constructor(
    private readonly node: LinkNode,
    private readonly handlers: ReadonlyMap<string, MessageHandler>,
  ) {
    this.turns = new FairTurns(node, line => this.startNext(line));
    const askSilent = node.defects.guard('worker.presence', () => this.askSilent());
    this.timer = setInterval(askSilent, PRESENCE_MARK_MS).unref();
    node.dispatcher.serve(presenceContract, { notice: (notice, { peer }) => this.take(peer, notice) });
    this.listening = [
      node.onPeer(change => {
        if (change.type === 'join') this.watch(node.peers.get(change.node.id));
        else if (change.type === 'leave') this.drop(change.id);
        else if (change.type === 'lost') this.dropLater(change.id);
      }),
      // What a gate has told meanwhile may be lost: it begins again.
      node.onGap(peer => this.watch(peer)),
      node.onStatus(isUp => {
        if (isUp) for (const peer of node.peers.values()) this.watch(peer);
      }),
    ];
  }

  /** Whether an app has handlers for it. */
  static isNeeded(handlers: ReadonlyMap<string, MessageHandler>): boolean {
    return (['online', 'offline', 'join', 'leave'] as const).some(type => handlers.has(presenceTopic(type)));
  }

  /** Begins with the gates that are there. */
  start(): void {
    for (const peer of this.node.peers.values()) this.watch(peer);
  }

  /** Watches no more, and waits for the handlers that run; what waits behind them is dropped. */
  async stop(): Promise<void> {
    for (const stop of this.listening) stop();
    clearInterval(this.timer);
    for (const timer of this.leaving.values()) clearTimeout(timer);
    for (const line of this.lines) line.waiting.clear();
    for (const peer of this.node.peers.values()) {
      if (peer.info.role === 'gate') peer.notify(watchContract.watch, { isOn: false });
    }
    await Promise.all(this.running);
  }

  private watch(peer: Peer | undefined): void {
    if (peer?.info.role !== 'gate') return;
    clearTimeout(this.leaving.get(peer.info.id));
    this.leaving.delete(peer.info.id);
    this.gates.set(peer, { next: 0, heardAt: performance.now() });
    peer.notify(watchContract.watch, { isOn: true });
  }

  /** A notice has come. When one before it has not, all are asked for again: the gate begins with a `reset`. */
  private take(peer: Peer, notice: PresenceNotice): void {
    const watched = this.gates.get(peer);
    if (!watched) return;
    if (notice.kind === 'reset') watched.next = notice.number;
    // Until the `reset` comes that was asked for.
    if (watched.next === 0) return;
    if (notice.number !== watched.next) {
      this.watch(peer);
      return;
    }
    watched.next++;
    watched.heardAt = performance.now();
    if (notice.kind !== 'mark') this.mirror.take(peer.info.id, notice);
  }

  /** The request to be told, or what a gate has told last, may be lost: nothing that comes later shows it then. */
  private askSilent(): void {
    const now = performance.now();
    for (const [peer, { heardAt }] of this.gates) {
      if (this.node.peers.get(peer.info.id) !== peer) this.gates.delete(peer);
      else if (now - heardAt > SILENT_MS) this.watch(peer);
    }
  }

  private drop(gate: NodeId): void {
    clearTimeout(this.leaving.get(gate));
    this.leaving.delete(gate);
    this.mirror.drop(gate);
  }

  /** The gate may only be unreachable: while it can return, its clients are not reported as gone. */
  private dropLater(gate: NodeId): void {
    clearTimeout(this.leaving.get(gate));
    this.leaving.set(
      gate,
      setTimeout(
        this.node.defects.guard('worker.presence', () => this.drop(gate)),
        GRACE_MS,
      ),
    );
  }

  private queue(event: PresenceEvent): void {
    if (!this.handlers.has(presenceTopic(event.type))) return;
    const line = present(this.lines[lineOf('group' in event ? event.group : event.userId)]);
    if (line.waiting.length >= MAX_WAITING) {
      this.noteDropped();
      return;
    }
    line.waiting.push(event);
    if (line.canStart) this.turns.add(line, false);
  }

  private startNext(line: Line): void {
    const event = line.canStart ? line.waiting.shift() : undefined;
    if (!event) return;
    line.isBusy = true;
    const run = this.handle(event).finally(() => {
      this.running.delete(run);
      line.isBusy = false;
      if (line.canStart) this.turns.add(line, true);
    });
    this.running.add(run);
  }

  private async handle(event: PresenceEvent): Promise<void> {
    try {
      const handler = this.handlers.get(presenceTopic(event.type));
      await inAsyncScope(async () => {
        const result: unknown = await handler?.(event, this.context);
        if (isObservable(result)) await lastValueFrom(result, { defaultValue: undefined });
      });
    } catch (error) {
      this.log.error(error);
    }
  }

  private noteDropped(): void {
    this.dropped++;
    // The first one, and then now and again: handlers that are too slow drop many.
    if (this.dropped % 10_000 === 1) this.log.error(`The handlers are too slow: ${this.dropped} events dropped`);
  }
}

function lineOf(key: string): number {
  let hash = 0;
  for (let i = 0; i < key.length; i++) hash = (hash * 31 + key.charCodeAt(i)) | 0;
  return (hash >>> 0) % LINES;
}
