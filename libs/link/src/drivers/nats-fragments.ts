import type { NodeId } from '../link.js';

/** A frame that has come whole. */
export interface WholeFrame {
  readonly from: NodeId;
  readonly epoch: string;
  readonly frame: Buffer;
}

/** Room that NATS itself needs of its largest payload. */
const RESERVE_BYTES = 1024;
/** A frame of more bytes than this is nobody's. */
const MAX_FRAME_BYTES = 64 * 1024 * 1024;

/**
 * Cuts frames to what one NATS message may hold, and puts them together again. A message is
 * `u8 1 when more follows · u8 length, sender · u8 length, epoch · part`. The parts of a frame follow each other without
 * another message of the same sender between them.
 */
export class NatsFragments {
  private readonly begun = new Map<NodeId, { epoch: string; parts: Buffer[]; bytes: number }>();

  *split(from: NodeId, epoch: string, frame: Buffer, maxPayload: number): Iterable<Buffer> {
    const head = Buffer.from(
      `\0${String.fromCharCode(from.length)}${from}${String.fromCharCode(epoch.length)}${epoch}`,
      'latin1',
    );
    const size = Math.max(RESERVE_BYTES, maxPayload - head.length - RESERVE_BYTES);
    let at = 0;
    do {
      const part = Buffer.concat([head, frame.subarray(at, at + size)]);
      at += size;
      if (at < frame.length) part[0] = 1;
      yield part;
    } while (at < frame.length);
  }

  /** The frame that this message ends; `undefined` when more is to come, or the message is none of ours. */
  take(message: Uint8Array): WholeFrame | undefined {
    const data = Buffer.from(message.buffer, message.byteOffset, message.length);
    const idEnd = 2 + (data[1] ?? 0);
    const epochEnd = idEnd + 1 + (data[idEnd] ?? 0);
    if (data.length < epochEnd || epochEnd < 4) return undefined;
    const from = data.toString('latin1', 2, idEnd);
    const epoch = data.toString('latin1', idEnd + 1, epochEnd);
    const part = data.subarray(epochEnd);
    const begun = this.begun.get(from);
    if (data[0] === 0 && !begun) return { from, epoch, frame: part };
    const frame = begun?.epoch === epoch ? begun : { epoch, parts: [], bytes: 0 };
    frame.parts.push(part);
    frame.bytes += part.length;
    if (frame.bytes > MAX_FRAME_BYTES) {
      this.begun.delete(from);
      return undefined;
    }
    if (data[0] === 1) {
      this.begun.set(from, frame);
      return undefined;
    }
    this.begun.delete(from);
    return { from, epoch, frame: Buffer.concat(frame.parts, frame.bytes) };
  }

  /** A sender is gone, and with it the rest of what it had begun. */
  forget(from: NodeId): void {
    this.begun.delete(from);
  }
}
