import { AsyncResource } from 'node:async_hooks';
import type { Link, NodeId, SendResult } from '../link.js';
import type { ByteWriter } from '../wire/bytes.js';
import { type CastDigest, CastRounds, type RoundChannel } from '../wire/cast-rounds.js';
import { writeCast } from '../wire/envelope.js';
import { Congestion } from './flow-window.js';
import type { GateReach } from '../reach/gate-reach.js';
import { Linger, LINGER_MS } from './linger.js';
import { type Batch, Outlet } from './outlet.js';
import type { PeerContext } from './peer.js';

/**
 * Interval at which peers are asked for an acknowledgement, in milliseconds, while messages are unacknowledged or waiting: a mark, or its
 * answer, may have been lost. Also the length of a round of casts.
 */
const ASK_MS = 500;

/** A peer as {@link Outbound} uses it. */
export interface OutboundPeer {
  readonly isGate: boolean;
  /** Whether no message waits and every message is acknowledged or lost. */
  readonly isSettled: boolean;
  isListed: boolean;
  isWatched: boolean;
  /** Sends the gathered messages. */
  flush(): void;
  /** Requests an acknowledgement. */
  sendMark(): void;
  /** A cast of this size was sent. */
  noteCast(bytes: number): void;
  sendDigest(digest: CastDigest): void;
}

/**
 * Decides when a node sends messages. The messages to a peer are sent as one batch at the end of the turn, or slightly later
 * ({@link Linger}). Casts to a channel are a separate batch. Both are sent in the order in which they were written, so that a gate receives
 * them in that order.
 */
export class Outbound {
  private readonly listed: OutboundPeer[] = [];
  private readonly casts = new Outlet();
  private readonly control = new Outlet();
  private readonly castCongestion = new Congestion();
  /** Turns of the event loop in which messages were sent. */
  turns = 0;
  private castChannel = '';
  private castPlace: RoundChannel | undefined;
  private readonly rounds = new CastRounds();
  private scheduled = false;
  /** Decides whether messages wait for more than a turn; `undefined` on links where that saves nothing. */
  private readonly linger: Linger | undefined;
  private lingerTimer: NodeJS.Timeout | undefined;
  private isTimed = false;
  /** True when a message must be sent at the end of this turn, together with all messages that were written before it. */
  private isPressing = false;
  /** Peers with waiting or unacknowledged messages. */
  private readonly watched = new Set<OutboundPeer>();
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly link: Link,
    private readonly context: PeerContext,
    private readonly reach: GateReach,
    /** All other nodes. */
    private readonly peers: ReadonlyMap<NodeId, OutboundPeer>,
  ) {
    this.linger = link.lingers === true ? new Linger() : undefined;
  }

  /** False while the link is down. */
  get isUp(): boolean {
    return this.reach.isUp;
  }

  /** Messages cast so far. */
  get castTotal(): number {
    return this.rounds.total;
  }

  /** Called before a message to a peer is written: earlier casts must be sent before it. */
  beforeMessage(): void {
    if (this.casts.gathered > 0) this.flushCasts();
  }

  /** A message to a peer has been written. `lingers`: it may wait for those of the next turns. */
  noteMessage(lingers: boolean): void {
    if (lingers && this.linger) this.linger.gathered++;
    else this.isPressing = true;
  }

  /** Flushes a peer at the end of this turn. */
  list(peer: OutboundPeer): void {
    if (!peer.isListed) {
      peer.isListed = true;
      this.listed.push(peer);
    }
    this.schedule();
  }

  /** Requests acknowledgements from a peer at intervals, until all messages are acknowledged. */
  watch(peer: OutboundPeer): void {
    peer.isWatched = true;
    this.watched.add(peer);
    this.startTimer();
  }

  unwatch(peer: OutboundPeer): void {
    peer.isWatched = false;
    this.watched.delete(peer);
  }

  /** Returns the writer for one message to a channel. {@link wroteCast} must follow. */
  toChannel(channel: string): ByteWriter {
    this.flushListed();
    if (this.castChannel !== channel) this.flushCasts();
    this.castChannel = channel;
    const { casts } = this;
    if (casts.gathered > 0) return casts.writer;
    if (this.rounds.isFull) this.endRound();
    casts.prepare();
    this.castPlace = this.rounds.of(channel);
    writeCast(casts.writer, this.rounds.number, this.castPlace);
    return casts.writer;
  }

  /** A message to a channel has been written. */
  wroteCast(): void {
    this.casts.gathered++;
    this.isPressing = true;
    if (this.casts.isFull) this.flushCasts();
    else this.schedule();
  }

  /** Settles when casts should be sent again; `undefined` when they may be now. */
  whenDrained(): Promise<void> | undefined {
    return this.castCongestion.whenOver();
  }

  /** The driver accepts more casts. */
  noteDrain(): void {
    this.castCongestion.end();
  }

  /** Sends all gathered batches now. */
  flush(): void {
    this.isPressing = false;
    this.linger?.end();
    // The current cast was written after the messages to peers; earlier casts were sent before those.
    this.flushListed();
    this.flushCasts();
  }

  /** Flushes each listed peer once. Peers that are listed meanwhile are flushed next time. */
  private flushListed(): void {
    if (this.listed.length === 0) return;
    for (const peer of this.listed.splice(0)) {
      try {
        peer.flush();
      } catch (error) {
        this.context.defects.report(error, 'link.flush');
      }
    }
  }

  stop(): void {
    clearInterval(this.timer);
    clearTimeout(this.lingerTimer);
    this.castCongestion.end();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(this.flushTurn);
  }

  /** Runs in its own async context: a batch has messages of several callers, not only of the first. */
  private readonly flushTurn = AsyncResource.bind((): void => {
    this.scheduled = false;
    this.turns++;
    if (this.linger?.waits(performance.now()) === true && !this.isPressing) this.startLinger();
    else this.flushSafely();
  });

  /** The timer may have been started for an earlier batch, so that no message waits longer than the timer. */
  private startLinger(): void {
    if (this.isTimed) return;
    this.isTimed = true;
    if (this.lingerTimer) this.lingerTimer.refresh();
    else this.lingerTimer = setTimeout(this.endLinger, LINGER_MS);
  }

  private readonly endLinger = AsyncResource.bind((): void => {
    this.isTimed = false;
    if (this.linger && this.linger.gathered > 0) this.flushSafely();
  });

  private flushSafely(): void {
    try {
      this.flush();
    } catch (error) {
      this.context.defects.report(error, 'link.flush');
    }
  }

  /** Sends a control message in a separate batch, ahead of the written messages. */
  writeControl(write: (writer: ByteWriter) => void): Batch {
    this.control.prepare();
    write(this.control.writer);
    this.control.gathered++;
    return this.control.take() as Batch;
  }

  /** Sends the written casts. */
  flushCasts(): void {
    const batch = this.casts.take();
    if (!batch) return;
    const result = this.isUp ? this.hand(undefined, batch) : 'refused';
    if (result === 'refused') {
      this.context.counters.refused += batch.messages;
      return;
    }
    if (result === 'congested') this.castCongestion.begin();
    if (this.castPlace) this.rounds.note(this.castPlace, batch.messages);
    this.startTimer();
    // The sender does not know which gates have joined the channel: the cast counts for each gate.
    for (const peer of this.peers.values()) if (peer.isGate) peer.noteCast(batch.bytes);
  }

  /** Passes a frame to the driver, for a peer or for the current channel. A driver that throws has accepted nothing. */
  hand(id: NodeId | undefined, { frame }: Batch): SendResult {
    try {
      return id === undefined ? this.link.cast(this.castChannel, frame) : this.link.send(id, frame);
    } catch (error) {
      this.context.defects.report(error, 'link.send');
      return 'refused';
    }
  }

  private startTimer(): void {
    this.timer ??= setInterval(this.askTurn, ASK_MS).unref();
  }

  private readonly askTurn = (): void => {
    try {
      this.ask();
    } catch (error) {
      this.context.defects.report(error, 'link.ask');
    }
  };

  /** Requests acknowledgements of messages and casts, as long as some are unacknowledged. */
  private ask(): void {
    for (const peer of this.watched) {
      if (peer.isSettled) this.unwatch(peer);
      else peer.sendMark();
    }
    if (this.rounds.isOpen) {
      this.flushCasts();
      this.endRound();
    } else if (this.watched.size === 0) {
      clearInterval(this.timer);
      this.timer = undefined;
    }
  }

  /** Sends each gate a digest of the casts since the last one. */
  private endRound(): void {
    const digest = this.rounds.end();
    for (const peer of this.peers.values()) if (peer.isGate) peer.sendDigest(digest);
  }
}
