/** Names a node in the cluster. */
export type NodeId = string;

/** What a node is: a gate holds clients (and may host handlers too), a worker hosts handlers, an api node only calls. */
export type NodeRole = 'gate' | 'worker' | 'api';

/** What a node tells the others about itself. */
export interface NodeInfo {
  readonly id: NodeId;
  readonly role: NodeRole;
  /** Differs at every boot of the node. */
  readonly epoch: string;
  /** The modules whose topics this node has handlers for. */
  readonly modules: readonly string[];
  /** True when the node takes no new work any more. */
  readonly draining: boolean;
}

/**
 * A change among a node's peers. `change` is told when a peer announces new information about itself; `leave` when it has
 * said goodbye, and `lost` when it has not: it may be dead, or only out of reach.
 */
export type PeerChange =
  | { readonly type: 'join' | 'change'; readonly node: NodeInfo }
  | { readonly type: 'leave' | 'lost'; readonly id: NodeId };

/**
 * What became of a frame: `sent` (accepted), `congested` (accepted, but the peer is over its high-water mark: wait for
 * `onDrain`), or `refused` (not accepted: no such peer, or the link is down). A refused frame must be told to its sender.
 */
export type SendResult = 'sent' | 'congested' | 'refused';

/**
 * A frame to send: whole, or in parts that follow each other in it. A driver need not join them. It must not change them:
 * large content is not copied, and others may refer to it.
 */
export type LinkFrame = Buffer | readonly Buffer[];

/** The size of a frame, whole or in parts. */
export function bytesOf(frame: LinkFrame): number {
  if (Buffer.isBuffer(frame)) return frame.length;
  let bytes = 0;
  for (const part of frame) bytes += part.length;
  return bytes;
}

/** A gate that a link is configured to reach, and does not. */
export interface UnreachedGate {
  /** Its id when it was reached before, else its address as `host:port`. */
  readonly name: NodeId;
  /** Whether it was a peer before. */
  readonly wasReached: boolean;
  /** Why it was not reached, for people; `undefined` before the first attempt has ended. */
  readonly reason: string | undefined;
}

/** What a link tells its node. */
export interface LinkEvents {
  /** A frame of a peer. Frames of one peer come in the order in which they were sent. The buffer is the receiver's. */
  onFrame(from: NodeId, frame: Buffer): void;
  onPeer(change: PeerChange): void;
  /** The peer, or the link as a whole when `undefined`, can take more again. */
  onDrain(peer: NodeId | undefined): void;
  /** The link as a whole has gone down, or has come back. It counts as up when `open` has resolved. */
  onStatus(isUp: boolean): void;
  /** Drivers with a configured list of gates: these, and no others of the list, are out of reach now. */
  onUnreached?(gates: readonly UnreachedGate[]): void;
  /** A connection from `who`, an address or a name, was refused: for people, and as often as others try. */
  onRefused?(who: string, why: string): void;
  /**
   * An error was thrown in a callback of the driver itself, a socket's or a timer's. The driver goes on, without what the
   * callback was about. Never throws.
   */
  onDefect?(error: unknown, where: string): void;
}

/** Casts to this channel reach every gate. */
export const ALL_GATES = '*';

/**
 * Carries frames between nodes. A driver knows nothing of what is in them. Every driver passes
 * `linkConformance` of `@nestgate/testing`.
 */
export interface Link {
  /**
   * Whether a cast travels only to the gates that have joined its channel. Where it travels to every gate anyway, frames to
   * each of them are as cheap, and share a batch with what else goes there.
   */
  readonly routesChannels: boolean;
  /**
   * Whether every node that is on the link is known when `open` has resolved. Without it, others may still be on their way: a
   * gate waits for them before it takes clients.
   * @defaultValue false
   */
  readonly knowsAllAtOpen?: boolean | undefined;
  /**
   * Whether a batch costs so much, whatever is in it, that frames of clients wait up to a millisecond for others while many turns
   * of the event loop send few of them.
   * @defaultValue false
   */
  readonly lingers?: boolean | undefined;
  /** What the link is and where it leads, for the log at the start; without secrets. */
  describe?(): string;
  /** Joins the cluster as `self`. Resolves when frames can be sent. */
  open(self: NodeInfo, events: LinkEvents): Promise<void>;
  /** The peers known now, without this node itself. */
  peers(): ReadonlyMap<NodeId, NodeInfo>;
  /** Tells the peers what has changed about this node. `id`, `role` and `epoch` stay. */
  announce(self: NodeInfo): void;
  /** Sends to one peer, ordered per pair of nodes. Whether a frame has arrived, the nodes find out themselves. */
  send(to: NodeId, frame: LinkFrame): SendResult;
  /** Sends to every gate that has joined the channel, or to all gates for {@link ALL_GATES}; never to this node. */
  cast(channel: string, frame: LinkFrame): SendResult;
  /** Gates: take part in a channel. Resolves when casts of any node reach this one. */
  join(channel: string): Promise<void>;
  leave(channel: string): void;
  /** Leaves the cluster. With `drain`, what was accepted is sent first. */
  close(options: { readonly drain: boolean }): Promise<void>;
}
