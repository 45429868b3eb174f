import { AsyncResource } from 'node:async_hooks';
import type { ByteWriter } from './bytes.js';
import { Congestion } from './congestion.js';
import { CastRounds, type RoundChannel } from './cast-rounds.js';
import { type Counted, writeCast, writeCounted, writeDigest, writeMark, writeMissed, writeTaken } from './envelope.js';
import type { Mark, Taken } from './flow-window.js';
import { Linger, LINGER_MS } from './linger.js';
import type { Link, NodeId, SendResult } from './link.js';
import { type Batch, noteSent, Outlet } from './outlet.js';
import type { Peer } from './peer.js';

/**
 * How often peers are asked what they have received, in milliseconds, while the fate of a message is not known or something waits
 * for them: a mark, or its answer, may have been lost. Also how long a round of casts lasts.
 */
const ASK_MS = 500;

/** What outbound needs of its node. */
export interface OutboundHost {
  readonly peers: ReadonlyMap<string, Peer>;
  /** False while nothing can be sent at all. */
  readonly isUp: boolean;
  /** Told what a driver or a peer's end throws. Never throws. */
  reportDefect(error: unknown, where: string): void;
  /** Nothing was taken of a batch to a peer. */
  onRefused(batch: Batch): void;
  /** So many messages were not sent, and whoever waits for an answer to one of them is told otherwise. */
  noteRefused(messages: number): void;
  /** So many messages were sent, and have not arrived, or may not have. */
  noteUncertain(messages: number): void;
}

/**
 * What leaves a node. Messages gather per peer, and leave as one frame at the end of the turn, or a little later ({@link Linger}). Only so much is under way to
 * a peer at a time: the rest waits here, where questions and their answers overtake it. A cast to a channel is a frame
 * beside those, so that the two are sent in the order in which they were written: whoever gets both, gets them in that order.
 */
export class Outbound {
  private readonly listed: Peer[] = [];
  private readonly casts = new Outlet();
  private readonly control = new Outlet();
  private readonly castCongestion = new Congestion();
  /** How many turns of the event loop have sent something. */
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
  /** Peers for which something waits, or that have not acknowledged everything. */
  private readonly asked = new Set<Peer>();
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly link: Link,
    private readonly host: OutboundHost,
  ) {
    this.linger = link.lingers === true ? new Linger() : undefined;
  }

  /** Where one more message to a peer is written; {@link wrote} must follow. */
  toPeer(peer: Peer, urgent: boolean): Outlet {
    if (this.casts.gathered > 0) this.flushCasts();
    const outlet = urgent ? peer.urgent : peer.main;
    outlet.prepare();
    return outlet;
  }

  /** A message to a peer has been written. `lingers`: it may wait for those of the next turns. */
  wrote(peer: Peer, urgent: boolean, lingers = false): void {
    const outlet = urgent ? peer.urgent : peer.main;
    outlet.gathered++;
    if (lingers && this.linger) this.linger.gathered++;
    else this.isPressing = true;
    if (outlet.isFull) this.flushPeer(peer);
    else this.list(peer);
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

  /** The driver can take more, for one peer or, when `undefined`, for all. */
  noteDrain(id: string | undefined): void {
    this.castCongestion.end();
    for (const peer of this.host.peers.values()) {
      if (id !== undefined && peer.info.id !== id) continue;
      peer.isDriverFull = false;
      this.relax(peer);
    }
  }

  /** A peer has sent a mark: it is told that it has been reached. */
  answerMark(peer: Peer, mark: Mark): void {
    const { count, received } = peer;
    this.sendControl(peer, writer => writeTaken(writer, { ...mark, count, received }));
  }

  /** A peer has taken what was sent before a mark, or some of it. */
  noteTaken(peer: Peer, taken: Taken): void {
    const missing = peer.window.noteTaken(taken);
    if (missing > 0) this.host.noteUncertain(missing);
    this.pump(peer);
  }

  /** Batches of a peer have not come: it is told which. */
  reportMissed(peer: Peer, first: number, last: number): void {
    this.sendControl(peer, writer => writeMissed(writer, first, last));
  }

  /** A peer has sent a digest of its casts: it is told what has come of them. */
  answerDigest(peer: Peer, counted: Counted): void {
    this.sendControl(peer, writer => writeCounted(writer, counted));
  }

  /** A gate has compared a digest. What an earlier digest was about that has not arrived, or whose answer has not, is uncertain. */
  noteCounted({ casts }: Peer, { base, total, missing }: Counted): void {
    if (!(total > casts.acknowledged && total <= this.rounds.total)) return;
    const uncertain = missing + Math.max(0, base - casts.acknowledged);
    casts.acknowledged = total;
    if (uncertain > 0) this.host.noteUncertain(uncertain);
  }

  /** A peer is there: casts concern it from now on. */
  meet(peer: Peer): void {
    peer.casts.acknowledged = this.rounds.total;
  }

  /** This node is about to leave: its peers are told what has come of theirs, which they could not ask later. */
  takeLeave(): void {
    for (const peer of this.host.peers.values()) {
      if (!peer.isSelf && peer.received > 0) this.answerMark(peer, { bytes: 0, messages: 0 });
    }
  }

  /**
   * The link has come back: what was under way has arrived, or is lost. The peers are sent a mark, by whose number they see
   * what has not come, and by whose answer this node does: else both would notice with the next message, however late.
   */
  restart(): void {
    for (const peer of this.host.peers.values()) {
      if (peer.isSelf) continue;
      peer.window.reset();
      this.sendMark(peer);
      this.pump(peer);
    }
  }

  /**
   * A peer is gone, and with it what waits for it. One that has left in order had no clients any more: what was cast last was
   * for others.
   */
  drop(peer: Peer, hasLeft: boolean): void {
    peer.isLost = true;
    const messages = peer.backlog.clear() + (peer.main.take()?.messages ?? 0) + (peer.urgent.take()?.messages ?? 0);
    this.asked.delete(peer);
    peer.window.isWatched = false;
    peer.isDriverFull = false;
    peer.congestion.end();
    if (messages > 0) this.host.noteRefused(messages);
    const getsCasts = peer.info.role === 'gate' && !peer.isSelf && !hasLeft;
    const uncertain = peer.window.lose() + (getsCasts ? this.rounds.total - peer.casts.acknowledged : 0);
    if (uncertain > 0) this.host.noteUncertain(uncertain);
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
        this.flushPeer(peer);
      } catch (error) {
        this.host.reportDefect(error, 'link.flush');
      }
    }
  }

  stop(): void {
    clearInterval(this.timer);
    clearTimeout(this.lingerTimer);
    for (const peer of this.host.peers.values()) this.drop(peer, true);
    this.castCongestion.end();
  }

  private list(peer: Peer): void {
    if (!peer.listed) {
      peer.listed = true;
      this.listed.push(peer);
    }
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(this.flushTurn);
  }

  /** In an async context of its own: who has begun a batch is not whom all that comes of it is about. */
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
      this.host.reportDefect(error, 'link.flush');
    }
  }

  private flushPeer(peer: Peer): void {
    peer.listed = false;
    const urgent = peer.urgent.take();
    if (urgent) this.transmit(peer, urgent);
    const batch = peer.main.take();
    if (!batch) return;
    if (peer.isFlowing) {
      this.transmit(peer, batch);
    } else if (this.host.isUp && !peer.isLost && peer.backlog.push(batch)) {
      peer.congestion.begin();
      this.watch(peer);
    } else {
      this.host.onRefused(batch);
    }
  }

  private transmit(peer: Peer, batch: Batch): void {
    const result = this.send(peer, batch);
    if (result === 'refused') {
      this.host.onRefused(batch);
      return;
    }
    if (result === 'congested') {
      peer.isDriverFull = true;
      peer.congestion.begin();
    }
    if (peer.window.note(batch.bytes, batch.messages)) this.sendMark(peer);
    if (!peer.window.isWatched) this.watch(peer);
  }

  private sendMark(peer: Peer): void {
    const mark = peer.window.mark();
    this.sendControl(peer, writer => writeMark(writer, mark));
  }

  /** Marks, digests and their answers wait for nothing, and are not counted as under way themselves. */
  private sendControl(peer: Peer, write: (writer: ByteWriter) => void): void {
    this.control.prepare();
    write(this.control.writer);
    this.control.gathered++;
    const batch = this.control.take();
    if (batch) this.send(peer, batch);
  }

  /** Only what is taken has a number, and only the peer of now is sent anything: its namesake of before is gone. */
  private send(peer: Peer, batch: Batch): SendResult {
    const { id } = peer.info;
    if (!this.host.isUp || this.host.peers.get(id) !== peer) return 'refused';
    const number = peer.number(batch);
    const result = this.hand(id, batch);
    if (result === 'refused') peer.takeBackNumber();
    else noteSent(batch, number);
    return result;
  }

  private flushCasts(): void {
    const batch = this.casts.take();
    if (!batch) return;
    const result = this.host.isUp ? this.hand(undefined, batch) : 'refused';
    if (result === 'refused') {
      this.host.noteRefused(batch.messages);
      return;
    }
    if (result === 'congested') this.castCongestion.begin();
    if (this.castPlace) this.rounds.note(this.castPlace, batch.messages);
    this.startTimer();
    // Which gates have joined the channel is not known here: it counts for each of them.
    for (const peer of this.host.peers.values()) {
      if (peer.isSelf || peer.info.role !== 'gate') continue;
      if (peer.window.note(batch.bytes, 0)) this.sendMark(peer);
    }
  }

  /** Gives a frame to the driver, for a peer or the channel at hand. A driver that throws has taken nothing. */
  private hand(id: NodeId | undefined, { frame }: Batch): SendResult {
    try {
      return id === undefined ? this.link.cast(this.castChannel, frame) : this.link.send(id, frame);
    } catch (error) {
      this.host.reportDefect(error, 'link.send');
      return 'refused';
    }
  }

  private pump(peer: Peer): void {
    while (peer.window.isOpen) {
      const batch = peer.backlog.shift();
      if (!batch) break;
      this.transmit(peer, batch);
    }
    this.relax(peer);
  }

  private relax(peer: Peer): void {
    if (!peer.backlog.isEmpty) return;
    if (!peer.isDriverFull) peer.congestion.end();
  }

  private watch(peer: Peer): void {
    peer.window.isWatched = true;
    this.asked.add(peer);
    this.startTimer();
  }

  private startTimer(): void {
    this.timer ??= setInterval(this.askTurn, ASK_MS).unref();
  }

  private readonly askTurn = (): void => {
    try {
      this.ask();
    } catch (error) {
      this.host.reportDefect(error, 'link.ask');
    }
  };

  /** Requests acknowledgements, of messages to peers and of casts, as long as there is something to acknowledge. */
  private ask(): void {
    for (const peer of this.asked) {
      if (peer.window.isSettled && peer.backlog.isEmpty) {
        peer.window.isWatched = false;
        this.asked.delete(peer);
      } else {
        this.sendMark(peer);
      }
    }
    if (this.rounds.isOpen) {
      this.flushCasts();
      this.endRound();
    } else if (this.asked.size === 0) {
      clearInterval(this.timer);
      this.timer = undefined;
    }
  }

  /** Sends each gate a digest of what was cast since the last one. */
  private endRound(): void {
    const digest = this.rounds.end();
    for (const peer of this.host.peers.values()) {
      if (!peer.isSelf && peer.info.role === 'gate') this.sendControl(peer, writer => writeDigest(writer, digest));
    }
  }
}
