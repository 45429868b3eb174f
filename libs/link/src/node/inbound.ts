import { GateError, readU32 } from '@nestgate/protocol';
import { ByteReader } from '../wire/bytes.js';
import type { Dispatcher } from './dispatcher.js';
import {
  MessageKind,
  readBatchHeader,
  readCounted,
  readDigest,
  readError,
  readMark,
  readAcknowledgement,
  Status,
  UNNUMBERED,
} from '../wire/envelope.js';
import type { JoinedChannels } from '../peer/joined-channels.js';
import { BEGUN_AGAIN } from '../peer/outlet.js';
import type { PeerContext } from '../peer/peer.js';
import type { Pending } from '../peer/pending.js';
import type { RemotePeer } from '../peer/remote-peer.js';
import type { Signal } from './signal.js';

/** What comes into a node: batches, message by message. What is malformed is counted, and harms nothing beside it. */
export class Inbound {
  /** When the last batch has come, by `performance.now()`. */
  receivedAt = 0;

  constructor(
    private readonly context: PeerContext,
    private readonly dispatcher: Dispatcher,
    private readonly joined: JoinedChannels,
    /** Emits a peer of which batches are missing. */
    private readonly gaps: Signal<RemotePeer>,
  ) {}

  /**
   * Takes a batch. `peer` is `undefined` for one from an unknown node. Returns true when nothing refers to the frame any more: its memory
   * can be reused.
   */
  receive(peer: RemotePeer | undefined, frame: Buffer): boolean {
    if (!peer) {
      this.context.counters.corrupt++;
      return true;
    }
    let gap = 0;
    const reader = new ByteReader(frame);
    try {
      const header = readBatchHeader(reader);
      gap = peer.numbers.gapBefore(header.sequence);
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
      else peer.numbers.received += messages;
    } catch (error) {
      this.noteCorrupt(error);
    }
    // Also when it is malformed otherwise.
    if (gap > 0 || gap === BEGUN_AGAIN) this.endUncertain(peer);
    return reader.views === 0;
  }

  /** Counts a gap, and tells the peer of it: its requests may have been in what is missing. */
  private noteGap(peer: RemotePeer, batches: number, sequence: number): void {
    this.context.counters.gaps += batches;
    peer.reportMissed((sequence - batches) >>> 0, (sequence - 1) >>> 0);
    this.gaps.emit(peer);
  }

  /**
   * Ends what a peer may have answered in batches that are missing, or does not know of any more because it has begun again.
   * Those are all requests that have been sent: when the missing batches left is not known. What still waits in this process
   * is not among them, nor what is answered in the batch at hand, which has been read by now. An answer that comes later
   * all the same is counted as late. The handler has run then: therefore the error says that this is not known.
   */
  private endUncertain(peer: RemotePeer): void {
    peer.requests.abortSent(new GateError('NODE_LOST'));
  }

  private noteCorrupt(error: unknown): void {
    this.context.counters.corrupt++;
    if (!(error instanceof GateError)) this.context.defects.report(error, 'handler');
  }

  /** Returns whether the message is one that its sender counts: those about others are not. */
  private receiveMessage(peer: RemotePeer, reader: ByteReader, startedAt: number): boolean {
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
      this.dispatcher.dispatch({ peer, operationId, series, generation, slot, deadline }, reader);
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
      else this.context.counters.late++;
    } else {
      this.receiveControl(kind, peer, reader);
      return false;
    }
    return true;
  }

  /** Messages with which nodes find out what has become of others. */
  private receiveControl(kind: number, peer: RemotePeer, reader: ByteReader): void {
    if (kind === MessageKind.mark) {
      peer.answerMark(readMark(reader));
    } else if (kind === MessageKind.taken) {
      peer.noteAcknowledgement(readAcknowledgement(reader));
    } else if (kind === MessageKind.missed) {
      // Nobody will answer them.
      peer.requests.abortBatches(reader.u32(), reader.u32(), new GateError('NODE_LOST'));
    } else if (kind === MessageKind.cast) {
      peer.casts.begin(reader.u32(), reader.u32(), reader.u32());
    } else if (kind === MessageKind.digest) {
      const digest = readDigest(reader);
      const missing = peer.casts.compare(digest, this.joined);
      this.context.counters.gaps += missing;
      peer.answerDigest({ base: digest.base, total: digest.total, missing });
    } else if (kind === MessageKind.counted) {
      peer.noteCounted(readCounted(reader));
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
