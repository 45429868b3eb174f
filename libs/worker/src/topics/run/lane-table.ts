import type { Caller, Peer, SessionContract } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { ClientLane } from './client-lane.js';

/** What a worker has to do at a moment. */
export interface TopicLoad {
  /** Frames whose handler runs. */
  readonly running: number;
  /** Frames that wait for an earlier one of their client. */
  readonly waiting: number;
  /** Clients that have sent something here, and are still with their gate. */
  readonly clients: number;
  /** Streams that run, or wait for their turn. */
  readonly streams: number;
  /** Producers of streams that have gone on for 5 s after nobody wanted their items, counted since the start. */
  readonly abandoned: number;
}

/** The lanes of all clients, by gate. */
export class LaneTable<Task> {
  private readonly lanes = new Map<Peer, Map<number, ClientLane<Task>>>();
  /** Lanes whose frames wait until it is known whether their gate still counts on this worker. */
  private readonly held = new Set<ClientLane<Task>>();

  constructor(private readonly gate: Caller<SessionContract>) {}

  /** The lane of a client; made with its first frame. @throws {GateError} `FORBIDDEN` when the peer is no gate. */
  of(peer: Peer, serial: number): ClientLane<Task> {
    let lanes = this.lanes.get(peer);
    // Clients are with gates. Asked once per peer: this is done for every frame.
    if (!lanes && peer.info.role !== 'gate') throw new GateError('FORBIDDEN', 'Only gates have clients');
    if (!lanes) this.lanes.set(peer, (lanes = new Map()));
    let lane = lanes.get(serial);
    if (!lane) lanes.set(serial, (lane = new ClientLane(peer, serial, this.gate)));
    return lane;
  }

  get(peer: Peer, serial: number): ClientLane<Task> | undefined {
    return this.lanes.get(peer)?.get(serial);
  }

  /** Aborts all frames that have asked for a signal. */
  abort(reason: unknown): void {
    for (const lanes of this.lanes.values()) for (const lane of lanes.values()) lane.abort(reason);
  }

  /** The serials of a gate's clients that have a lane. */
  serialsOf(gate: Peer): number[] {
    return [...(this.lanes.get(gate)?.keys() ?? [])];
  }

  /** How many clients have a lane, and how many frames wait in them. */
  count(): Pick<TopicLoad, 'clients' | 'waiting'> {
    let clients = 0;
    let waiting = 0;
    for (const lanes of this.lanes.values()) {
      clients += lanes.size;
      for (const lane of lanes.values()) waiting += lane.waitingCount;
    }
    return { clients, waiting };
  }

  /** A client is gone. What is in its lane goes on. */
  forget(peer: Peer, serial: number): void {
    const lanes = this.lanes.get(peer);
    lanes?.delete(serial);
    if (lanes?.size === 0) this.lanes.delete(peer);
  }

  /** Forgets all clients of a gate, and returns their lanes. */
  takeAll(id: string): ClientLane<Task>[] {
    const taken: ClientLane<Task>[] = [];
    for (const [peer, lanes] of this.lanes) {
      if (peer.info.id !== id) continue;
      this.lanes.delete(peer);
      taken.push(...lanes.values());
    }
    // Those of clients that were gone before.
    for (const lane of this.held) if (lane.peer.info.id === id && this.held.delete(lane)) taken.push(lane);
    return taken;
  }

  /** Notes that a lane is held. */
  hold(lane: ClientLane<Task>): void {
    this.held.add(lane);
  }

  /** The lanes that were held for a gate. */
  release(gate: Peer): ClientLane<Task>[] {
    const released = [...this.held].filter(({ peer }) => peer === gate);
    for (const lane of released) this.held.delete(lane);
    return released;
  }
}
