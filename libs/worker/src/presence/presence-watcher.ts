import { BaseRpcContext, type MessageHandler } from '@nestjs/microservices';
import { type LinkNode, type NodeId, type Peer, presenceContract, watchContract } from '@nestgate/link';
import { isObservable, lastValueFrom } from 'rxjs';
import { BoundedLog } from '../log/bounded-log.js';
import { type PresenceEvent, presenceTopic } from './on-presence.decorator.js';
import { PresenceMirror } from './presence-mirror.js';

/** How long a gate that was lost may take to come back with its clients, in milliseconds. */
const GRACE_MS = 2_000;
/** Events of different uids and groups are handled side by side in so many lines. */
const LINES = 16;
/** Events that may wait in a line. What comes then is dropped, and the log tells of it. */
const MAX_WAITING = 50_000;

/** What a handler of presence gets as `@Ctx()`. */
export class PresenceContext extends BaseRpcContext<[]> {
  constructor() {
    super([]);
  }
}

/** Watches all gates, and hands what happens there to the `@OnPresence` methods of the app. */
export class PresenceWatcher {
  private readonly log = new BoundedLog('OnPresence');
  private readonly mirror = new PresenceMirror(event => this.queue(event));
  private readonly lines: PresenceEvent[][] = Array.from({ length: LINES }, () => []);
  private readonly running = new Set<Promise<void>>();
  private readonly leaving = new Map<NodeId, NodeJS.Timeout>();
  private readonly context = new PresenceContext();
  private readonly listening: (() => void)[];
  private dropped = 0;

  constructor(
    private readonly node: LinkNode,
    private readonly handlers: ReadonlyMap<string, MessageHandler>,
  ) {
    node.dispatcher.serve(presenceContract, { notice: (notice, { peer }) => this.mirror.take(peer.info.id, notice) });
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
    for (const timer of this.leaving.values()) clearTimeout(timer);
    for (const line of this.lines) line.length = Math.min(line.length, 1);
    for (const peer of this.node.peers.values()) {
      if (peer.info.role === 'gate') this.node.notify(peer, watchContract.watch, { isOn: false });
    }
    await Promise.all(this.running);
  }

  private watch(peer: Peer | undefined): void {
    if (peer?.info.role !== 'gate') return;
    clearTimeout(this.leaving.get(peer.info.id));
    this.leaving.delete(peer.info.id);
    this.node.notify(peer, watchContract.watch, { isOn: true });
  }

  private drop(gate: NodeId): void {
    clearTimeout(this.leaving.get(gate));
    this.leaving.delete(gate);
    this.mirror.drop(gate);
  }

  /** It may only be out of reach: while it can come back, its clients are not told of as gone. */
  private dropLater(gate: NodeId): void {
    clearTimeout(this.leaving.get(gate));
    this.leaving.set(
      gate,
      setTimeout(() => this.drop(gate), GRACE_MS),
    );
  }

  private queue(event: PresenceEvent): void {
    if (!this.handlers.has(presenceTopic(event.type))) return;
    const line = this.lines[lineOf('group' in event ? event.group : event.userId)] as PresenceEvent[];
    if (line.length >= MAX_WAITING) {
      this.noteDropped();
      return;
    }
    line.push(event);
    if (line.length > 1) return;
    const run = this.work(line).finally(() => this.running.delete(run));
    this.running.add(run);
  }

  /** The first of a line is the one at work, so that whoever comes finds the line taken. */
  private async work(line: PresenceEvent[]): Promise<void> {
    for (let event = line[0]; event; event = line[0]) {
      try {
        const result: unknown = await this.handlers.get(presenceTopic(event.type))?.(event, this.context);
        if (isObservable(result)) await lastValueFrom(result, { defaultValue: undefined });
      } catch (error) {
        this.log.error(error);
      }
      line.shift();
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
