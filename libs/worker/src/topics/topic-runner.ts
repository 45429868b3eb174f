import {
  type ClientMessage,
  createCaller,
  DeadlineWheel,
  type IncomingCall,
  type LinkNode,
  MALFORMED_BODY,
  type Peer,
  sessionContract,
  type SessionSnapshot,
  topicContract,
} from '@nestgate/link';
import { type Body, type ErrorBody, GateError, NO_BODY } from '@nestgate/protocol';
import { isObservable, type Observable } from 'rxjs';
import { encodeBody } from '../gateway/message.js';
import { BoundedLog } from '../log/bounded-log.js';
import type { ClientLane } from './client-lane.js';
import type { CurrentClient } from './current-client.js';
import { FairTurns } from './fair-turns.js';
import { GateTrust } from './gate-trust.js';
import { LaneTable, type TopicLoad } from './lane-table.js';
import { TopicContext } from './topic-context.js';
import { isThenable } from './thenable.js';
import { isParsable, type TopicHandler } from './topic-handler.js';
import type { RunInTrace } from './trace-context.js';
import { type TaskOwner, TopicTask } from './topic-task.js';

/**
 * Runs the handlers of client frames: those of one client one after another in the order in which they came, those of
 * different clients without waiting for each other. Each frame is answered once; a handler that has not settled by its
 * deadline is left behind, and its late result is dropped.
 */
export class TopicRunner implements TaskOwner {
  /** Which gates still count on this worker; all of them, unless it is started. */
  readonly trust: GateTrust;
  private readonly logger = new BoundedLog('GateTransport');
  private readonly lanes: LaneTable<TopicTask>;
  private readonly turns: FairTurns<ClientLane<TopicTask>>;
  private readonly wheel: DeadlineWheel;
  private running = 0;
  private onIdle: (() => void) | undefined;

  constructor(
    private readonly node: LinkNode,
    private readonly handlers: ReadonlyMap<string, TopicHandler>,
    private readonly runInTrace?: RunInTrace,
    private readonly currentClient?: CurrentClient,
  ) {
    this.wheel = new DeadlineWheel(undefined, error => node.reportDefect(error, 'worker.deadline'));
    this.lanes = new LaneTable(createCaller(node, sessionContract));
    this.turns = new FairTurns(node, lane => this.takeTurn(lane));
    this.trust = new GateTrust(node, {
      onTrusted: gate => {
        for (const lane of this.lanes.release(gate)) this.startNext(lane);
      },
      onGivenUp: gate => {
        for (const lane of this.lanes.release(gate)) this.dropWaiting(lane, new GateError('NODE_LOST'));
      },
    });
  }

  /** What it has to do now; counted when asked for. */
  load(): TopicLoad {
    const { clients, waiting } = this.lanes.count();
    return { running: this.running - waiting, waiting, clients };
  }

  /** Takes a frame from a gate. */
  accept(message: ClientMessage, call: IncomingCall): void {
    const lane = this.lanes.of(call.peer, message.serial);
    if (message.session) lane.learn(message.session);
    const handler = this.handlers.get(message.topic);
    if (!handler) {
      // Nobody else parses this body, and a frame that is none is that first of all.
      const code = isParsable(message.body) ? 'NO_HANDLER' : MALFORMED_BODY;
      this.node.fail(call, new GateError(code));
      return;
    }
    const task = new TopicTask(this, lane, handler, message, call);
    this.running++;
    const now = performance.now();
    if (!this.trust.has(call.peer, now)) {
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
      this.start(task);
    } else {
      this.startFirst(lane, task);
    }
  }

  /** A session has changed. */
  learn(peer: Peer, serial: number, session: SessionSnapshot): void {
    this.lanes.get(peer, serial)?.learn(session);
  }

  /** A client is gone: its frames still run to their end, but nothing is kept for it. */
  forget(peer: Peer, serial: number): void {
    this.lanes.forget(peer, serial);
  }

  /** A gate is gone, or has given this worker up: what waits here for its clients is not started any more. */
  forgetPeer(id: string): void {
    this.trust.forget(id);
    for (const lane of this.lanes.takeAll(id)) this.dropWaiting(lane);
  }

  /** Leaves a handler behind that has not settled in time. */
  abandon(task: TopicTask): void {
    const { waitingCount } = task.lane;
    const why =
      !task.handler.concurrent && waitingCount > 0
        ? `; ${waitingCount} later frames of this client were waiting for it. If it awaits one of them, make it { concurrent: true }`
        : '';
    this.logger.warn(`The handler of ${task.message.topic} has not settled by its deadline${why}`);
    this.finish(task);
  }

  /** Resolves when no handler runs any more, or after `timeoutMs`. */
  async whenIdle(timeoutMs: number): Promise<void> {
    if (this.running > 0) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>(resolve => {
        this.onIdle = resolve;
        timer = setTimeout(resolve, timeoutMs);
      });
      clearTimeout(timer);
    }
    this.wheel.stop();
  }

  /** Starts a frame of a lane in which nothing waits. */
  private startFirst(lane: ClientLane<TopicTask>, task: TopicTask): void {
    lane.starting = true;
    lane.running = task;
    this.start(task);
    lane.starting = false;
    // What came while it was being started has not been able to start.
    if (!lane.isFree) this.startNext(lane);
  }

  /** Starts what may start in a lane. A loop, because frames that fail at once end within their start. */
  private startNext(lane: ClientLane<TopicTask>): void {
    while (lane.canStart) {
      const now = performance.now();
      if (!this.trust.has(lane.peer, now)) {
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
    if (this.trust.has(lane.peer, now)) this.startOne(lane, now);
    else if (lane.canStart) this.lanes.hold(lane);
  }

  /** Starts the next frame of a lane, and the next one of a concurrent handler. Those whose time is over are skipped. */
  private startOne(lane: ClientLane<TopicTask>, now: number): void {
    let beside = lane.nextConcurrent();
    while (beside && this.skipLate(beside, now)) beside = lane.nextConcurrent();
    if (beside) this.start(beside);
    if (lane.starting || lane.running) return;
    let task = lane.next();
    while (task && this.skipLate(task, now)) task = lane.next();
    if (!task) return;
    lane.starting = true;
    lane.running = task;
    this.start(task);
    lane.starting = false;
  }

  /** Ends what waits in a lane without starting it; with an error, whoever asked is told. */
  private dropWaiting(lane: ClientLane<TopicTask>, error?: GateError): void {
    for (let task = next(lane); task; task = next(lane)) {
      task.done = true;
      if (error) this.node.fail(task.call, error);
      this.noteEnd();
    }
  }

  /** A frame whose time passed while it waited is never started: its client has been told. */
  private skipLate(task: TopicTask, now: number): boolean {
    if (task.call.deadline > now) return false;
    task.done = true;
    this.noteEnd();
    return true;
  }

  private start(task: TopicTask): void {
    const { handler, message, lane } = task;
    let payload: unknown;
    try {
      payload = handler.decode(message.body);
    } catch (error) {
      this.fail(task, error instanceof GateError ? error.toBody() : this.defect(error));
      return;
    }
    const context = new TopicContext(message.topic, message.wantsResult, lane);
    task.context = context;
    try {
      const result = this.runInTrace
        ? this.within(task, () => handler.call(payload, context))
        : task.runInAsyncScope(callHandler, undefined, this.currentClient, handler, payload, context);
      if (result instanceof Promise) this.settleLater(task, result);
      else if (isThenable(result)) this.settleLater(task, Promise.resolve(result));
      else this.settle(task, result);
    } catch (error) {
      this.fail(task, handler.errorBody(error, message.topic));
    }
  }

  /** Runs what belongs to a frame in its async scope, with its trace, and with its client as the current one. */
  private within<T>(task: TopicTask, run: () => T): T {
    const { runInTrace, currentClient } = this;
    const span = runInTrace && task.lane.traceSpan;
    return task.runInAsyncScope(() => {
      if (task.context) currentClient?.enter(task.context);
      return runInTrace && span ? runInTrace(span, run) : run();
    });
  }

  private settleLater(task: TopicTask, result: Promise<unknown>): void {
    this.wheel.add(task, task.call.deadline);
    result.then(
      value => this.settle(task, value),
      (error: unknown) => this.fail(task, task.handler.errorBody(error, task.message.topic)),
    );
  }

  private settle(task: TopicTask, value: unknown): void {
    try {
      // Most results are no objects, and asking one of those for its methods is slow.
      if (typeof value === 'object' && isObservable(value)) this.settleStream(task, value);
      else this.succeed(task, value);
    } catch (error) {
      // A result that throws when it is looked at. A promise has called this: nobody else would hear of it.
      this.node.reportDefect(error, 'worker.result');
      this.fail(task, new GateError('INTERNAL').toBody());
    }
  }

  /** The reply of a stream is its last value, as with Nest's HTTP routes. */
  private settleStream(task: TopicTask, stream: Observable<unknown>): void {
    let last: unknown;
    const observer = {
      next: (value: unknown) => (last = value),
      error: (error: unknown) => this.fail(task, task.handler.errorBody(error, task.message.topic)),
      complete: () => this.succeed(task, last),
    };
    // A stream, and with interceptors the handler itself, does its work when it is subscribed to.
    const subscription = this.within(task, () => stream.subscribe(observer));
    // One that has ended within `subscribe` has nothing left to let go of.
    if (task.done) {
      this.within(task, () => subscription.unsubscribe());
      return;
    }
    task.stream = subscription;
    // A promise of a stream has its deadline already.
    if (task.wheelSlot < 0) this.wheel.add(task, task.call.deadline);
  }

  private succeed(task: TopicTask, value: unknown): void {
    if (task.done) return;
    let body: Body;
    try {
      body = task.message.wantsResult ? encodeBody(value, task.message.topic, 'reply') : NO_BODY;
    } catch (error) {
      this.fail(task, this.defect(error));
      return;
    }
    const { call } = task;
    this.node.reply(call, topicContract.message, body);
    this.finish(task);
  }

  private fail(task: TopicTask, error: ErrorBody): void {
    if (task.done) return;
    const { call } = task;
    this.node.fail(call, new GateError(error.code, error.message, error.details));
    this.finish(task);
  }

  private defect(error: unknown): ErrorBody {
    this.logger.error(error);
    return new GateError('INTERNAL').toBody();
  }

  private finish(task: TopicTask): void {
    if (task.done) return;
    task.done = true;
    this.wheel.remove(task);
    this.noteEnd();
    const { stream } = task;
    // What the application has to let go of is done in its own scope, however the frame has ended.
    if (stream) this.within(task, () => stream.unsubscribe());
    if (task.lane.running !== task) return;
    task.lane.running = undefined;
    this.startNext(task.lane);
  }

  private noteEnd(): void {
    if (--this.running === 0) this.onIdle?.();
  }
}

/** No closure, and no reference to a method without its object, for each frame. */
function callHandler(
  current: CurrentClient | undefined,
  handler: TopicHandler,
  payload: unknown,
  context: TopicContext,
): unknown {
  current?.enter(context);
  return handler.call(payload, context);
}

/** Takes any frame that waits in a lane. */
function next(lane: ClientLane<TopicTask>): TopicTask | undefined {
  return lane.nextConcurrent() ?? lane.next();
}
