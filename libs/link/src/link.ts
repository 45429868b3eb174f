/** Identifies a node in the cluster. */
export type NodeId = string;

/** The role of a node: a gate holds clients (and may run handlers), a worker runs handlers, an api node only calls. */
export type NodeRole = 'gate' | 'worker' | 'api';

/** Information that a node announces to the others. */
export interface NodeInfo {
  readonly id: NodeId;
  readonly role: NodeRole;
  /** Differs at every boot of the node. */
  readonly epoch: string;
  /** The modules whose topics this node has handlers for. */
  readonly modules: readonly string[];
  /** True while the node drains: it accepts no new work. */
  readonly draining: boolean;
}

/**
 * A change among the peers of a node. `change`: a peer has announced new information; `leave`: it has
 * sent a leave message; `lost`: it disappeared without one: it may be dead or only unreachable.
 */
export type PeerChange =
  | { readonly type: 'join' | 'change'; readonly node: NodeInfo }
  | { readonly type: 'leave' | 'lost'; readonly id: NodeId };

/**
 * Result of a send: `sent` (accepted), `congested` (accepted, but the peer is above its high-water mark: wait for
 * `onDrain`), or `refused` (not accepted: no such peer, or the link is down). The node must report a refused frame to its sender.
 */
export type SendResult = 'sent' | 'congested' | 'refused';

/**
 * A frame to send: one buffer, or consecutive parts. A driver need not join them. It must not change them:
 * large content is not copied, and other code may refer to it.
 */
export type LinkFrame = Buffer | readonly Buffer[];

/** The size of a frame, whole or in parts. */
export function bytesOf(frame: LinkFrame): number {
  if (Buffer.isBuffer(frame)) return frame.length;
  let bytes = 0;
  for (const part of frame) bytes += part.length;
  return bytes;
}

/** A configured gate that a link does not reach. */
export interface UnreachedGate {
  /** Its id when it was reached before, else its address as `host:port`. */
  readonly name: NodeId;
  /** Whether it was a peer before. */
  readonly wasReached: boolean;
  /** The reason, as text; `undefined` before the first attempt has ended. */
  readonly reason: string | undefined;
}

/** Events of a link. */
export interface LinkEvents {
  /**
   * A frame of a peer, in the order in which the peer sent them. The buffer belongs to the receiver, unless it returns true:
   * then nothing refers to the buffer any more, and the driver may reuse it.
   */
  onFrame(from: NodeId, frame: Buffer): boolean | void;
  onPeer(change: PeerChange): void;
  /** Backpressure has ended for the peer, or for the whole link when `undefined`. */
  onDrain(peer: NodeId | undefined): void;
  /** The whole link is down or up again. It counts as up when `open` has resolved. */
  onStatus(isUp: boolean): void;
  /** For drivers with a configured list of gates: the gates of the list that are currently unreachable. */
  onUnreached?(gates: readonly UnreachedGate[]): void;
  /** A connection from `who`, an address or a name, was refused. Called for each attempt, so limit the log lines. */
  onRefused?(who: string, why: string): void;
  /**
   * An exception in a socket or timer callback of the driver. The driver continues. Never throws.
   */
  onDefect?(error: unknown, where: string): void;
}

/** Casts to this channel reach every gate. */
export const ALL_GATES = '*';

/**
 * Transports frames between nodes. A driver does not read them. Every driver passes
 * `linkConformance` of `@nestgate/testing`.
 */
export interface Link {
  /**
   * Whether a cast reaches only the gates that have joined its channel. If it reaches every gate anyway, frames to each of
   * them cost the same and share a batch with other messages.
   */
  readonly routesChannels: boolean;
  /**
   * Whether every node on the link is known when `open` has resolved. If not, other nodes may still connect, and a gate waits for
   * them before it accepts clients.
   * @defaultValue false
   */
  readonly knowsAllAtOpen?: boolean | undefined;
  /**
   * Whether the fixed cost of a batch is so high that frames of clients wait up to 1 ms for others, while many turns of the event loop
   * send few frames.
   * @defaultValue false
   */
  readonly lingers?: boolean | undefined;
  /** Description of the link and its addresses, for the log at the start; without secrets. */
  describe?(): string;
  /** Joins the cluster as `self`. Resolves when frames can be sent. */
  open(self: NodeInfo, events: LinkEvents): Promise<void>;
  /** The peers known now, without this node itself. */
  peers(): ReadonlyMap<NodeId, NodeInfo>;
  /** Announces changed information about this node. `id`, `role` and `epoch` stay. */
  announce(self: NodeInfo): void;
  /** Sends to one peer, ordered per pair of nodes. The nodes themselves acknowledge frames. */
  send(to: NodeId, frame: LinkFrame): SendResult;
  /** Sends to every gate that has joined the channel, or to all gates for {@link ALL_GATES}; never to this node. */
  cast(channel: string, frame: LinkFrame): SendResult;
  /** Joins a channel (gates only). Resolves when casts of any node reach this one. */
  join(channel: string): Promise<void>;
  leave(channel: string): void;
  /** Leaves the cluster. With `drain`, accepted frames are sent first. */
  close(options: { readonly drain: boolean }): Promise<void>;
}
