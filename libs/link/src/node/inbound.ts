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

/** Reads the batches that a node receives, message by message. A malformed message is counted and does not affect other messages. */
export class Inbound {
  /** Arrival of the last batch, by `performance.now()`. */
  receivedAt = 0;

  constructor(
    private readonly context: PeerContext,
    private readonly dispatcher: Dispatcher,
    private readonly joined: JoinedChannels,
    /** Emits a peer when batches of it are missing. */
    private readonly gaps: Signal<RemotePeer>,
  ) {}

  /**
   * Processes a batch. `peer` is `undefined` for an unknown node. Returns true when nothing refers to the frame any more, so that its
   * memory can be reused.
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
      // Deadlines are relative to the start of the batch: the transit time shortens them.
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
          // Each message has its own length, so that a malformed one does not affect the next ones.
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
    // Counted also when its content is malformed.
    if (gap > 0 || gap === BEGUN_AGAIN) this.endUncertain(peer);
    return reader.views === 0;
  }

  /** Counts a gap, and reports it to the peer: its requests may have been in the missing batches. */
  private noteGap(peer: RemotePeer, batches: number, sequence: number): void {
    this.context.counters.gaps += batches;
    peer.reportMissed((sequence - batches) >>> 0, (sequence - 1) >>> 0);
    this.gaps.emit(peer);
  }

  /**
   * Ends the requests whose answers may be in missing batches, or that the peer has forgotten (its batch numbers start again). These are all
   * requests that were sent, because it is not known when the missing batches were sent. Requests in the backlog and requests that the
   * current batch has answered are not affected. A later answer is counted as late. Its handler has run, so the error does not say
   * whether the request was handled.
   */
  private endUncertain(peer: RemotePeer): void {
    peer.requests.abortSent(new GateError('NODE_LOST'));
  }

  private noteCorrupt(error: unknown): void {
    this.context.counters.corrupt++;
    if (!(error instanceof GateError)) this.context.defects.report(error, 'handler');
  }

  /** Returns whether the sender counts the message. Control messages are not counted. */
  private receiveMessage(peer: RemotePeer, reader: ByteReader, startedAt: number): boolean {
    const kind = reader.u8();
    if (kind === MessageKind.request) {
      const operationId = reader.u16();
      const { buffer } = reader;
      // The bounds of the message are checked once, here.
      const at = reader.skipTo(reader.at + 16);
      const series = readU32(buffer, at);
      const generation = readU32(buffer, at + 4);
      const slot = readU32(buffer, at + 8);
      const deadline = startedAt + readU32(buffer, at + 12);
      this.dispatcher.dispatch({ peer, operationId, series, generation, slot, deadline }, reader);
    } else if (kind === MessageKind.response) {
      const operationId = reader.u16();
      // A peer may only answer requests that were sent to it.
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

  /** Control messages: acknowledgements, gaps and digests. */
  private receiveControl(kind: number, peer: RemotePeer, reader: ByteReader): void {
    if (kind === MessageKind.mark) {
      peer.answerMark(readMark(reader));
    } else if (kind === MessageKind.taken) {
      peer.noteAcknowledgement(readAcknowledgement(reader));
    } else if (kind === MessageKind.missed) {
      // The peer did not receive these requests, so that no answer will come.
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

/** Ends a request with the answer in the reader, or with an error when it is malformed. */
function settle(pending: Pending, reader: ByteReader): void {
  try {
    if (reader.u8() === Status.ok) pending.succeed(pending.result.read(reader));
    else pending.fail(readError(reader));
  } catch (error) {
    pending.fail(error instanceof GateError ? error : new GateError('LINK_CORRUPT'));
    throw error;
  }
}
