import { GateError, readU32 } from '@nestgate/protocol';
import { ByteReader } from './bytes.js';
import type { Dispatcher } from './dispatcher.js';
import {
  MessageKind,
  readBatchHeader,
  readCounted,
  readDigest,
  readError,
  readMark,
  readTaken,
  Status,
  UNNUMBERED,
} from './envelope.js';
import type { JoinedChannels } from './joined-channels.js';
import type { LinkCounters } from './link-counters.js';
import type { Outbound } from './outbound.js';
import { BEGUN_AGAIN, type Peer } from './peer.js';
import type { Pending } from './pending.js';
import type { Signal } from './signal.js';

/** Where what comes in goes. */
export interface InboundHost {
  readonly dispatcher: Dispatcher;
  readonly outbound: Outbound;
  readonly counters: LinkCounters;
  readonly joined: JoinedChannels;
  /** Told of a peer of which batches are missing. */
  readonly gaps: Signal<Peer>;
  reportDefect(error: unknown): void;
}

/** What comes into a node: batches, message by message. What is malformed is counted, and harms nothing beside it. */
export class Inbound {
  /** When the last batch has come, by `performance.now()`. */
  receivedAt = 0;

  constructor(private readonly host: InboundHost) {}

  /** Takes a batch. `peer` is `undefined` for one that comes from nobody known. */
  receive(peer: Peer | undefined, frame: Buffer): void {
    if (!peer) {
      this.host.counters.corrupt++;
      return;
    }
    let gap = 0;
    try {
      const reader = new ByteReader(frame);
      const header = readBatchHeader(reader);
      gap = peer.gapBefore(header.sequence);
      if (gap > 0) this.noteGap(peer, gap, header.sequence);
      const now = performance.now();
      this.receivedAt = now;
      // What is left of a request's time was written when the batch began, and has run out further on the way.
      const startedAt = now - peer.transit.delayOf(header.sentAt, now);
      const end = reader.end;
      let messages = 0;
      while (reader.at < end) {
        const next = reader.u32() + reader.at;
        if (next > end) throw new GateError('LINK_CORRUPT', 'A message is longer than its batch');
        reader.end = next;
        try {
          if (this.receiveMessage(peer, reader, startedAt)) messages++;
        } catch (error) {
          // Messages have their own lengths, so a malformed one takes none of its neighbours with it.
          this.noteCorrupt(error);
          messages++;
        }
        reader.end = end;
        reader.at = next;
      }
      if (header.sequence === UNNUMBERED) peer.casts.end(messages);
      else peer.received += messages;
    } catch (error) {
      this.noteCorrupt(error);
    }
    // Also when it is malformed otherwise.
    if (gap > 0 || gap === BEGUN_AGAIN) this.endUncertain(peer);
  }

  /** Counts a gap, and tells the peer of it: its requests may have been in what is missing. */
  private noteGap(peer: Peer, batches: number, sequence: number): void {
    this.host.counters.gaps += batches;
    this.host.outbound.reportMissed(peer, (sequence - batches) >>> 0, (sequence - 1) >>> 0);
    this.host.gaps.emit(peer);
  }

  /**
   * Ends what a peer may have answered in batches that are missing, or does not know of any more because it has begun again.
   * Those are all requests that have been sent: when the missing batches left is not known. What still waits in this process
   * is not among them, nor what is answered in the batch at hand, which has been read by now. An answer that comes later
   * all the same is counted as late. The handler has run then: therefore the error says that this is not known.
   */
  private endUncertain(peer: Peer): void {
    peer.requests.abortSent(new GateError('NODE_LOST'));
  }

  private noteCorrupt(error: unknown): void {
    this.host.counters.corrupt++;
    if (!(error instanceof GateError)) this.host.reportDefect(error);
  }

  /** Returns whether the message is one that its sender counts: those about others are not. */
  private receiveMessage(peer: Peer, reader: ByteReader, startedAt: number): boolean {
    const kind = reader.u8();
    if (kind === MessageKind.request) {
      const operationId = reader.u16();
      const { buffer } = reader;
      // Bounds are checked once.
      const at = reader.skipTo(reader.at + 16);
      const series = readU32(buffer, at);
      const generation = readU32(buffer, at + 4);
      const slot = readU32(buffer, at + 8);
      const deadline = startedAt + readU32(buffer, at + 12);
      this.host.dispatcher.dispatch({ peer, operationId, series, generation, slot, deadline }, reader);
    } else if (kind === MessageKind.response) {
      const operationId = reader.u16();
      // A peer may only answer what it was asked.
      const { buffer } = reader;
      const at = reader.skipTo(reader.at + 12);
      const series = readU32(buffer, at);
      const generation = readU32(buffer, at + 4);
      const slot = readU32(buffer, at + 8);
      const pending = peer.requests.take(series, generation, slot, operationId);
      if (pending) settle(pending, reader);
      else this.host.counters.late++;
    } else {
      this.receiveControl(kind, peer, reader);
      return false;
    }
    return true;
  }

  /** Messages with which nodes find out what has become of others. */
  private receiveControl(kind: number, peer: Peer, reader: ByteReader): void {
    const { outbound, counters, joined } = this.host;
    if (kind === MessageKind.mark) {
      outbound.answerMark(peer, readMark(reader));
    } else if (kind === MessageKind.taken) {
      outbound.noteTaken(peer, readTaken(reader));
    } else if (kind === MessageKind.missed) {
      // Nobody will answer them.
      peer.requests.abortBatches(reader.u32(), reader.u32(), new GateError('NODE_LOST'));
    } else if (kind === MessageKind.cast) {
      peer.casts.begin(reader.u32(), reader.u32(), reader.u32());
    } else if (kind === MessageKind.digest) {
      const digest = readDigest(reader);
      const missing = peer.casts.compare(digest, joined);
      counters.gaps += missing;
      outbound.answerDigest(peer, { base: digest.base, total: digest.total, missing });
    } else if (kind === MessageKind.counted) {
      outbound.noteCounted(peer, readCounted(reader));
    }
  }
}

/** Ends a request with what the reader holds; with an error of its own when that is malformed. */
function settle(pending: Pending, reader: ByteReader): void {
  try {
    if (reader.u8() === Status.ok) pending.succeed(pending.result.read(reader));
    else pending.fail(readError(reader));
  } catch (error) {
    pending.fail(error instanceof GateError ? error : new GateError('LINK_CORRUPT'));
    throw error;
  }
}
