import type { LinkNode, SessionSnapshot } from '@nestgate/link';
import {
  type ClientMessage,
  createCaller,
  DeadlineCall,
  type IncomingCall,
  MALFORMED_BODY,
  type Peer,
  sessionContract,
  type StreamAdoption,
  type StreamMessage,
  UNKNOWN_STREAM,
} from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { isParsable, type TopicHandler } from '../handler/topic-handler.js';
import { StreamOutlet } from '../stream/stream-outlet.js';
import type { RunInTrace } from '../trace-context.js';
import type { ClientLane } from './client-lane.js';
import type { CurrentClient } from './current-client.js';
import { FairTurns } from './fair-turns.js';
import { GapChecks } from './gap-checks.js';
import { LaneTable, type TopicLoad } from './lane-table.js';
import { LivenessLease } from './liveness-lease.js';
import { TaskRunner } from './task-runner.js';
import { TaskScope } from './task-scope.js';
import { TopicTask } from './topic-task.js';

const NOT_WANTED = 'Nobody waits for the result any more';

/**
 * Decides when the frames of clients are handled: those of one client one after another in the order in which they came, those of
 * different clients without waiting for each other.
 */
export class TopicRunner {
  /** Which gates still consider this worker alive; all of them until the lease is started. */
  readonly lease: LivenessLease;
  private readonly lanes: LaneTable<TopicTask>;
  private readonly turns: FairTurns<ClientLane<TopicTask>>;
  private readonly tasks: TaskRunner;
  private readonly gaps: GapChecks;
  private isDraining = false;
  /** Streams have ended for good. */
  private isDrained = false;

  constructor(
    private readonly node: LinkNode,
    private readonly handlers: ReadonlyMap<string, TopicHandler>,
    runInTrace?: RunInTrace,
    currentClient?: CurrentClient,
  ) {
    this.tasks = new TaskRunner(node, lane => this.startNext(lane), new TaskScope(runInTrace, currentClient));
    this.lanes = new LaneTable(createCaller(node, sessionContract));
    this.gaps = new GapChecks(this.tasks.wheel, {
      streamsOf: gate => this.tasks.streamsOf(peer => peer === gate).flatMap(({ outlet }) => outlet?.stream ?? []),
      clientsOf: gate => this.lanes.serialsOf(gate),
    });
    this.turns = new FairTurns(node, lane => this.takeTurn(lane));
    this.lease = new LivenessLease(node, {
      onRenewed: gate => {
        for (const lane of this.lanes.release(gate)) this.startNext(lane);
      },
      onExpired: gate => {
        for (const lane of this.lanes.release(gate)) this.dropWaiting(lane, new GateError('NODE_LOST'));
        for (const task of this.tasks.streamsOf(peer => peer === gate)) {
          this.tasks.breakOff(task, new GateError('NODE_LOST'));
        }
      },
    });
  }

  /** What it has to do now; counted when asked for. */
  load(): TopicLoad {
    const { clients, waiting } = this.lanes.count();
    const { tasks, streams, abandoned } = this.tasks.count();
    return { running: tasks - waiting, waiting, clients, streams, abandoned };
  }

  /** Frames that have not been handled yet. */
  get taskCount(): number {
    return this.tasks.size;
  }

  /** Takes a frame from a gate. */
  accept(message: ClientMessage, call: IncomingCall, outlet?: StreamOutlet): void {
    const lane = this.lanes.of(call.peer, message.serial);
    if (message.session) lane.learn(message.session);
    const handler = this.handlers.get(message.topic);
    if (!handler) {
      // Nobody else parses this body, and a frame that is none is that first of all.
      const code = isParsable(message.body) ? 'NO_HANDLER' : MALFORMED_BODY;
      call.peer.fail(call, new GateError(code));
      return;
    }
    const task = new TopicTask(this.tasks, lane, handler, message, call, outlet);
    this.tasks.take(task);
    const now = performance.now();
    if (!this.lease.has(call.peer, now)) {
      lane.wait(task, handler.concurrent);
      this.lanes.hold(lane);
    } else if (!handler.concurrent && !lane.isFree) {
      lane.wait(task, false);
    } else if (!this.turns.isOpen(now)) {
      lane.wait(task, handler.concurrent);
      this.turns.add(lane, false);
    } else if (this.skipLate(task, now)) {
      return;
    } else if (handler.concurrent) {
      this.tasks.start(task);
    } else {
      this.startFirst(lane, task);
    }
  }

  /** Takes a frame whose client wants a stream. */
  acceptStream({ stream, message }: StreamMessage, call: IncomingCall): void {
    if (this.isDrained) {
      call.peer.fail(call, new GateError('WORKER_LOST'));
      return;
    }
    const patienceMs = 2 * Math.max(0, call.deadline - performance.now());
    this.accept(message, call, new StreamOutlet(call.peer, stream, patienceMs));
  }

  /** The client of a stream has come to the gate that asks. */
  adopt({ clientId, from, fromStream, stream }: StreamAdoption, call: IncomingCall): void {
    const gate = this.node.peers.get(from);
    const task = gate && this.tasks.streamOf(gate, fromStream);
    if (task?.outlet && task.lane.clientId === clientId) this.tasks.adopt(task, task.outlet, call, stream);
    else call.peer.fail(call, new GateError(UNKNOWN_STREAM));
  }

  /** The socket of a stream's client has taken so many items. */
  noteWritten(gate: Peer, stream: number, items: number): void {
    this.tasks.streamOf(gate, stream)?.outlet?.noteWritten(items);
  }

  /** Nobody wants a stream any more. */
  cancel(gate: Peer, stream: number): void {
    const task = this.tasks.streamOf(gate, stream);
    if (task) this.tasks.drop(task, new GateError('CANCELLED', NOT_WANTED));
  }

  /** The worker shuts down: streams that have not ended after `graceMs` milliseconds end then, and no others begin. */
  drainStreams(graceMs: number): void {
    if (this.isDraining) return;
    this.isDraining = true;
    const end = new DeadlineCall(() => {
      this.isDrained = true;
      this.endStreams();
    });
    this.tasks.wheel.add(end, performance.now() + graceMs);
  }

  /** Ends what is left when the worker has shut down. */
  stop(): void {
    this.endStreams();
    this.lanes.abort(new GateError('WORKER_LOST'));
    this.tasks.stop();
  }

  private endStreams(): void {
    for (const task of this.tasks.streamsOf(() => true)) this.tasks.breakOff(task, new GateError('WORKER_LOST'));
  }

  /** A session has changed. */
  learn(peer: Peer, serial: number, session: SessionSnapshot): void {
    this.lanes.get(peer, serial)?.learn(session);
  }

  /** A client is gone: its frames still run to their end, but nothing is kept for it. */
  forget(peer: Peer, serial: number): void {
    this.lanes.get(peer, serial)?.abort(new GateError('CANCELLED', NOT_WANTED));
    this.lanes.forget(peer, serial);
  }

  /** Messages of a gate are missing. */
  noteGap(gate: Peer): void {
    this.gaps.note(gate);
  }

  /** A gate is gone, or has given this worker up: what waits here for its clients is not started any more. */
  forgetPeer(id: string): void {
    this.lease.forget(id);
    const reason = new GateError('CANCELLED', NOT_WANTED);
    for (const lane of this.lanes.takeAll(id)) {
      this.dropWaiting(lane);
      lane.abort(reason);
    }
    for (const task of this.tasks.streamsOf(({ info }) => info.id === id)) this.tasks.drop(task, reason);
  }

  /** Resolves when no handler runs any more, or after `timeoutMs`. */
  whenIdle(timeoutMs: number): Promise<void> {
    return this.tasks.whenIdle(timeoutMs);
  }

  /** Starts a frame of a lane in which nothing waits. */
  private startFirst(lane: ClientLane<TopicTask>, task: TopicTask): void {
    lane.starting = true;
    lane.running = task;
    this.tasks.start(task);
    lane.starting = false;
    // What came while it was being started has not been able to start.
    if (!lane.isFree) this.startNext(lane);
  }

  /** Starts what may start in a lane. A loop, because frames that fail at once end within their start. */
  private startNext(lane: ClientLane<TopicTask>): void {
    while (lane.canStart) {
      const now = performance.now();
      if (!this.lease.has(lane.peer, now)) {
        this.lanes.hold(lane);
        return;
      }
      if (!this.turns.isOpen(now)) {
        this.turns.add(lane, true);
        return;
      }
      this.startOne(lane, now);
    }
  }

  /** It is a lane's turn. */
  private takeTurn(lane: ClientLane<TopicTask>): void {
    const now = performance.now();
    if (this.lease.has(lane.peer, now)) this.startOne(lane, now);
    else if (lane.canStart) this.lanes.hold(lane);
  }

  /** Starts the next frame of a lane, and the next one of a concurrent handler. Those whose time is over are skipped. */
  private startOne(lane: ClientLane<TopicTask>, now: number): void {
    let beside = lane.nextConcurrent();
    while (beside && this.skipLate(beside, now)) beside = lane.nextConcurrent();
    if (beside) this.tasks.start(beside);
    if (lane.starting || lane.running) return;
    let task = lane.next();
    while (task && this.skipLate(task, now)) task = lane.next();
    if (!task) return;
    lane.starting = true;
    lane.running = task;
    this.tasks.start(task);
    lane.starting = false;
  }

  /** Drops the waiting frames of a lane. With an error, their requests receive it. */
  private dropWaiting(lane: ClientLane<TopicTask>, error?: GateError): void {
    for (let task = next(lane); task; task = next(lane)) {
      if (task.done) continue;
      // A stream may be for another gate by now, which waits for it.
      const reason = error ?? (task.call.peer === lane.peer ? undefined : new GateError('WORKER_LOST'));
      if (reason) task.call.peer.fail(task.call, reason);
      this.tasks.noteEnd(task);
    }
  }

  /** A frame whose time passed while it waited is never started: its client has been told. */
  private skipLate(task: TopicTask, now: number): boolean {
    // A stream may have been cancelled.
    if (task.done) return true;
    if (task.call.deadline > now) return false;
    this.tasks.noteEnd(task);
    return true;
  }
}

/** Takes any frame that waits in a lane. */
function next(lane: ClientLane<TopicTask>): TopicTask | undefined {
  return lane.nextConcurrent() ?? lane.next();
}
