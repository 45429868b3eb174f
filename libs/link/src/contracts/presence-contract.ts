import type { ByteReader, ByteWriter } from '../wire/bytes.js';
import { type Codec, flag, nothing, struct } from '../wire/codec.js';
import { nodeOp } from '../wire/operation.js';

/**
 * What a gate tells those that watch it: `reset`, then everything there is, then `ready`; and from then on every change.
 * `online` and `offline` are about a uid on this gate, `join` and `leave` about a client and a group. `mark` reports no
 * change: it comes now and then, so that a watcher notices that it has missed the last notices before it.
 */
export type PresenceKind = 'reset' | 'ready' | 'online' | 'offline' | 'join' | 'leave' | 'mark';

/** How often a gate sends a `mark`, in milliseconds. */
export const PRESENCE_MARK_MS = 2_000;

export interface PresenceNotice {
  readonly kind: PresenceKind;
  /** The group; `''` for what is about a uid. */
  readonly group: string;
  /** The client; `''` for what is about a uid. */
  readonly clientId: string;
  /** `''` for a guest. */
  readonly userId: string;
  /** Its place among the notices of one gate to one watcher: `reset` is 1, each one after it has the next number. */
  readonly number: number;
}

const KINDS: readonly PresenceKind[] = ['reset', 'ready', 'online', 'offline', 'join', 'leave', 'mark'];

const notice: Codec<PresenceNotice> = {
  write(writer: ByteWriter, { kind, group, clientId, userId, number }: PresenceNotice) {
    writer.u8(KINDS.indexOf(kind));
    writer.str(group);
    writer.str(clientId);
    writer.str(userId);
    writer.u32(number);
  },
  read(reader: ByteReader) {
    // A kind of a newer neighbour is no change that is known here.
    const kind = KINDS[reader.u8()] ?? 'mark';
    return { kind, group: reader.str(), clientId: reader.str(), userId: reader.str(), number: reader.u32() };
  },
};

/** What workers ask of gates: to be told who is there. Asked again, a gate begins again. */
export const watchContract = { watch: nodeOp(130, 'never', struct({ isOn: flag }), nothing) } as const;

/** What gates tell those that watch them. (131 were notices without a number.) */
export const presenceContract = { notice: nodeOp(132, 'never', notice, nothing) } as const;
