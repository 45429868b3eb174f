import { Logger } from '@nestjs/common';
import {
  type Caller,
  type ClientMessage,
  createCaller,
  DeadlineWheel,
  type IncomingCall,
  type LinkNode,
  MALFORMED_BODY,
  type Peer,
  sessionContract,
  type SessionContract,
  type SessionSnapshot,
  topicContract,
} from '@nestgate/link';
import { type Body, type ErrorBody, GateError, NO_BODY } from '@nestgate/protocol';
import { isObservable, type Observable } from 'rxjs';
import { encodeBody } from '../gateway/message.js';
import { ClientLane } from './client-lane.js';
import type { CurrentClient } from './current-client.js';
import { pipelineErrorBody } from './error-mapping.js';
import { TopicContext } from './topic-context.js';
import { isParsable, type TopicHandler } from './topic-handler.js';
import type { RunInTrace } from './trace-context.js';
import { type TaskOwner, TopicTask } from './topic-task.js';

/**
 * Runs the handlers of client frames: those of one client one after another in the order in which they came, those of
 * different clients without waiting for each other. Each frame is answered once; a handler that has not settled by its
 * deadline is left behind, and its late result is dropped.
 */
export class TopicRunner implements TaskOwner {
  private readonly logger = new Logger('GateTransport');
  private readonly lanes = new Map<Peer, Map<number, ClientLane<TopicTask>>>();
  private readonly wheel = new DeadlineWheel();
  private readonly gate: Caller<SessionContract>;
  private running = 0;
  private onIdle: (() => void) | undefined;

  constructor(
    private readonly node: LinkNode,
    private readonly handlers: ReadonlyMap<string, TopicHandler>,
    private readonly runInTrace?: RunInTrace,
    private readonly currentClient?: CurrentClient,
  ) {
    this.gate = createCaller(node, sessionContract);
  }

  /** Takes a frame from a gate. */
  accept(message: ClientMessage, call: IncomingCall): void {
    const lane = this.laneOf(call.peer, message.serial);
    if (message.session) lane.learn(message.session);
    const handler = this.handlers.get(message.topic);
    if (!handler) {
      // Nobody else parses this body, and a frame that is none is that first of all.
      const code = isParsable(message.body) ? 'NO_HANDLER' : MALFORMED_BODY;
      this.node.fail(call.peer, call.correlation, new GateError(code));
      return;
    }
    const task = new TopicTask(this, lane, handler, message, call);
    this.running++;
    if (!handler.concurrent) {
      lane.wait(task);
      this.startNext(lane);
    } else if (!this.skipLate(task)) {
      this.start(task);
    }
  }

  /** A session has changed. */
  learn(peer: Peer, serial: number, session: SessionSnapshot): void {
    this.lanes.get(peer)?.get(serial)?.learn(session);
  }

  /** A client is gone: its frames still run to their end, but nothing is kept for it. */
  forget(peer: Peer, serial: number): void {
    const lanes = this.lanes.get(peer);
    lanes?.delete(serial);
    if (lanes?.size === 0) this.lanes.delete(peer);
  }

  /** A gate is gone, and its clients with it. */
  forgetPeer(id: string): void {
    for (const peer of this.lanes.keys()) if (peer.info.id === id) this.lanes.delete(peer);
  }

  /** Leaves a handler behind that has not settled in time. */
  abandon(task: TopicTask): void {
    this.logger.warn(`The handler of ${task.message.topic} has not settled by its deadline`);
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

  private laneOf(peer: Peer, serial: number): ClientLane<TopicTask> {
    let lanes = this.lanes.get(peer);
    if (!lanes) this.lanes.set(peer, (lanes = new Map()));
    let lane = lanes.get(serial);
    if (!lane) lanes.set(serial, (lane = new ClientLane(peer, serial, this.gate)));
    return lane;
  }

  /** Starts the lane's next frame, unless one runs. A loop, because frames that fail at once end within their start. */
  private startNext(lane: ClientLane<TopicTask>): void {
    if (lane.starting) return;
    lane.starting = true;
    while (!lane.running) {
      const task = lane.next();
      if (!task) break;
      if (this.skipLate(task)) continue;
      lane.running = task;
      this.start(task);
    }
    lane.starting = false;
  }

  /** A frame whose time passed while it waited is never started: its client has been told. */
  private skipLate(task: TopicTask): boolean {
    if (task.call.deadline > Date.now()) return false;
    task.done = true;
    this.noteEnd();
    return true;
  }

  private start(task: TopicTask): void {
    const { handler, message, lane } = task;
    this.wheel.add(task, task.call.deadline);
    let result: unknown;
    try {
      const payload = handler.decode(message.body);
      const context = new TopicContext(message.topic, message.wantsResult, lane);
      result = this.currentClient
        ? this.currentClient.run(context, () => this.call(handler, payload, context, lane))
        : this.call(handler, payload, context, lane);
    } catch (error) {
      this.fail(task, error instanceof GateError ? error.toBody() : this.defect(error));
      return;
    }
    if (result instanceof Promise) {
      result.then(
        value => this.settle(task, value),
        (error: unknown) => this.fail(task, pipelineErrorBody(error)),
      );
    } else {
      this.settle(task, result);
    }
  }

  private call(handler: TopicHandler, payload: unknown, context: TopicContext, lane: ClientLane<TopicTask>): unknown {
    const span = this.runInTrace && lane.traceSpan;
    if (!this.runInTrace || !span) return handler.callback(payload, context);
    return this.runInTrace(span, () => handler.callback(payload, context));
  }

  private settle(task: TopicTask, value: unknown): void {
    if (isObservable(value)) this.settleStream(task, value);
    else this.succeed(task, value);
  }

  /** The reply of a stream is its last value, as with Nest's HTTP routes. */
  private settleStream(task: TopicTask, stream: Observable<unknown>): void {
    let last: unknown;
    const subscription = stream.subscribe({
      next: value => (last = value),
      error: (error: unknown) => this.fail(task, pipelineErrorBody(error)),
      complete: () => this.succeed(task, last),
    });
    // One that has ended within `subscribe` has nothing left to let go of.
    if (task.done) subscription.unsubscribe();
    else task.stream = subscription;
  }

  private succeed(task: TopicTask, value: unknown): void {
    if (task.done) return;
    let body: Body;
    try {
      body = task.message.wantsResult ? encodeBody(value) : NO_BODY;
    } catch (error) {
      this.fail(task, this.defect(error));
      return;
    }
    const { peer, correlation } = task.call;
    this.node.reply(peer, correlation, topicContract.message, body);
    this.finish(task);
  }

  private fail(task: TopicTask, error: ErrorBody): void {
    if (task.done) return;
    const { peer, correlation } = task.call;
    this.node.fail(peer, correlation, new GateError(error.code, error.message, error.details));
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
    task.stream?.unsubscribe();
    if (task.lane.running !== task) return;
    task.lane.running = undefined;
    this.startNext(task.lane);
  }

  private noteEnd(): void {
    if (--this.running === 0) this.onIdle?.();
  }
}
