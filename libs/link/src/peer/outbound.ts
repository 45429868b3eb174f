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
 * How often peers are asked what they have received, in milliseconds, while the fate of a message is not known or something waits
 * for them: a mark, or its answer, may have been lost. Also how long a round of casts lasts.
 */
const ASK_MS = 500;

/** A peer as {@link Outbound} sees it. */
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
  /** A cast of so many bytes has left. */
  noteCast(bytes: number): void;
  sendDigest(digest: CastDigest): void;
}

/**
 * Decides when messages leave a node. They gather per peer and leave as one frame at the end of the turn, or slightly later
 * ({@link Linger}). A cast to a channel is a separate frame. The two are sent in the order in which they were written: a gate that
 * gets both, gets them in that order.
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
  /** Decides about messages that may wait for more than a turn; `undefined` where that saves nothing. */
  private readonly linger: Linger | undefined;
  private lingerTimer: NodeJS.Timeout | undefined;
  private isTimed = false;
  /** True when something has gathered that leaves at the end of the turn, and takes with it what was written before. */
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

  /** A message to a peer is about to be written: what was cast before it leaves before it. */
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

  /** Where one more message to a channel is written; {@link wroteCast} must follow. */
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

  /** The driver can take more casts. */
  noteDrain(): void {
    this.castCongestion.end();
  }

  /** Sends all gathered batches now. */
  flush(): void {
    this.isPressing = false;
    this.linger?.end();
    // What has gathered for a channel was written after what has gathered for peers, or that would have been sent.
    this.flushListed();
    this.flushCasts();
  }

  /** Each that is listed is flushed once. Those that are listed by what this brings about come at the next flush. */
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

  /** The timer may have been started for an earlier batch: no message waits for longer than it takes. */
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

  /** A batch of one control message, which leaves beside what has gathered. */
  writeControl(write: (writer: ByteWriter) => void): Batch {
    this.control.prepare();
    write(this.control.writer);
    this.control.gathered++;
    return this.control.take() as Batch;
  }

  /** Sends the casts that have gathered. */
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
    // Which gates have joined the channel is not known here: it counts for each of them.
    for (const peer of this.peers.values()) if (peer.isGate) peer.noteCast(batch.bytes);
  }

  /** Gives a frame to the driver, for a peer or the channel at hand. A driver that throws has accepted nothing. */
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

  /** Requests acknowledgements, of messages to peers and of casts, as long as there is something to acknowledge. */
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

  /** Sends each gate a digest of what was cast since the last one. */
  private endRound(): void {
    const digest = this.rounds.end();
    for (const peer of this.peers.values()) if (peer.isGate) peer.sendDigest(digest);
  }
}
