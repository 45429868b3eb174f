import { type Deadline, DeadlineCall, type DeadlineWheel, gapContract, type Peer } from '@nestgate/link/internal';

/** After a gap a gate is asked once, however many gaps follow within this time, in milliseconds. */
const CHECK_MS = 200;
/** So many streams or clients are named in one message. */
const MAX_NAMED = 1_000;

/** What a worker has of a gate. */
export interface GateState {
  /** The numbers of the streams that it produces for the gate's clients. */
  streamsOf(gate: Peer): readonly number[];
  /** The serials of the gate's clients of which it has a session. */
  clientsOf(gate: Peer): readonly number[];
}

/**
 * Repairs what messages were for that have been lost between a gate and this worker. Without an answer nobody else misses them: a stream
 * that was cancelled goes on, one whose items have been written waits for good, and a client that is gone is kept. The worker names what it
 * has, and the gate tells it again.
 */
export class GapChecks {
  private readonly waiting = new Map<Peer, Deadline>();

  constructor(
    private readonly wheel: DeadlineWheel,
    private readonly state: GateState,
  ) {}

  /** Messages of a gate are missing. */
  note(gate: Peer): void {
    if (this.waiting.has(gate)) return;
    const check = new DeadlineCall(() => {
      this.waiting.delete(gate);
      this.ask(gate);
    });
    this.waiting.set(gate, check);
    this.wheel.add(check, performance.now() + CHECK_MS);
  }

  private ask(gate: Peer): void {
    const streams = this.state.streamsOf(gate);
    const clients = this.state.clientsOf(gate);
    for (let at = 0; at < Math.max(streams.length, clients.length); at += MAX_NAMED) {
      gate.notify(gapContract.check, {
        streams: streams.slice(at, at + MAX_NAMED),
        clients: clients.slice(at, at + MAX_NAMED),
      });
    }
  }
}
