import type { LinkNode } from '@nestgate/link';
import {
  DeadlineWheel,
  type IncomingCall,
  type Peer,
  streamContract,
  type StreamEnd,
  topicContract,
} from '@nestgate/link/internal';
import { type Body, BodyKind, BodySlice, type ErrorBody, GateError, NO_BODY } from '@nestgate/protocol';
import { isObservable, type Observable } from 'rxjs';
import { BoundedLog } from '../../log/bounded-log.js';
import { encodeBody } from '../../message/message.js';
import { isThenable } from '../handler/thenable.js';
import { endIteration, isAsyncIterable } from '../stream/async-iterables.js';
import { LateProducers } from '../stream/late-producers.js';
import { type ItemTarget, PulledItems, PushedItems } from '../stream/producers.js';
import { StreamIndex } from '../stream/stream-index.js';
import type { StreamOutlet } from '../stream/stream-outlet.js';
import { TopicContext } from '../topic-context.js';
import type { ClientLane } from './client-lane.js';
import { InFlight } from './in-flight.js';
import type { TaskScope } from './task-scope.js';
import type { TaskOwner, TopicTask } from './topic-task.js';

/**
 * Runs tasks, from the call of their handler to the answer. Each is answered once; a handler that has not settled by its deadline is
 * left behind, and its late result is dropped.
 */
export class TaskRunner implements TaskOwner {
  /** Tasks that have been taken and have not ended, those that wait in their lanes included. */
  private readonly inFlight = new InFlight();
  private readonly logger = new BoundedLog('GateTransport');
  readonly wheel: DeadlineWheel;
  private readonly late: LateProducers;
  private readonly streams = new StreamIndex<TopicTask>();

  constructor(
    private readonly node: LinkNode,
    /** Called when the next frame of a client may begin. */
    private readonly onLaneFree: (lane: ClientLane<TopicTask>) => void,
    private readonly scope: TaskScope,
  ) {
    this.wheel = new DeadlineWheel(undefined, error => node.reportDefect(error, 'worker.deadline'));
    this.late = new LateProducers(this.wheel, this.logger);
  }

  /** Tasks that have not ended, streams among them, and producers that went on when nobody wanted their items any more. */
  count(): { tasks: number; streams: number; abandoned: number } {
    return { tasks: this.inFlight.count, streams: this.streams.size, abandoned: this.late.count };
  }

  /** Tasks that have not ended. */
  get size(): number {
    return this.inFlight.count;
  }

  /** Takes a task, which {@link start} or {@link noteEnd} must follow. */
  take(task: TopicTask): void {
    if (task.outlet) this.streams.add(task.call.peer, task.outlet.stream, task);
    this.inFlight.add();
  }

  /** The task that answers a stream of a gate's client. */
  streamOf(gate: Peer, stream: number): TopicTask | undefined {
    return this.streams.get(gate, stream);
  }

  /** The tasks that answer streams of these gates' clients. */
  streamsOf(isIncluded: (gate: Peer) => boolean): TopicTask[] {
    return [...this.streams.select(isIncluded)];
  }

  /** Goes on with a stream for another gate, to which its client has come, and which gives it this number. */
  adopt(task: TopicTask, outlet: StreamOutlet, call: IncomingCall, stream: number): void {
    const before = task.call;
    answerStream(before, { items: outlet.items, isMoved: true });
    this.streams.delete(before.peer, outlet.stream);
    task.call = call;
    task.context?.leaveLane();
    outlet.moveTo(call.peer, stream);
    this.streams.add(call.peer, stream, task);
  }

  /** Leaves a handler behind that has not settled in time. */
  abandon(task: TopicTask): void {
    const { outlet } = task;
    if (outlet?.isActive && task.stream) {
      outlet.isActive = false;
      this.wheel.add(task, performance.now() + outlet.patienceMs);
      return;
    }
    const { waitingCount } = task.lane;
    const why =
      !task.handler.concurrent && waitingCount > 0
        ? `; ${waitingCount} later frames of this client were waiting for it. If it awaits one of them, make it { concurrent: true }`
        : '';
    this.logger.warn(`The handler of ${task.message.topic} has not settled by its deadline${why}`);
    this.drop(task, new GateError('TIMEOUT'));
  }

  /** Resolves when no handler runs any more, or after `timeoutMs`. */
  async whenIdle(timeoutMs: number): Promise<void> {
    await this.inFlight.whenIdle(timeoutMs);
    this.wheel.stop();
  }

  /** No deadline expires any more. */
  stop(): void {
    this.wheel.stop();
  }

  /** Calls the handler of a task. */
  start(task: TopicTask): void {
    const { handler, message, lane } = task;
    let payload: unknown;
    try {
      const { body } = message;
      payload = handler.decode(body);
      // The parsed value holds no reference to the frame.
      if (body.kind === BodyKind.json && body instanceof BodySlice) body.release();
    } catch (error) {
      this.fail(task, error instanceof GateError ? error.toBody() : this.defect(error));
      return;
    }
    const context = new TopicContext(message.topic, message.wantsResult, lane);
    if (task.outlet && task.call.peer !== lane.peer) context.leaveLane();
    task.context = context;
    try {
      const result = this.scope.call(task, payload, context);
      if (result instanceof Promise) this.settleLater(task, result);
      else if (isThenable(result)) this.settleLater(task, Promise.resolve(result));
      else this.settle(task, result);
    } catch (error) {
      this.fail(task, handler.errorBody(error, message.topic));
    }
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
      if (task.outlet) this.settleItems(task, task.outlet, value);
      // Most results are no objects, and asking one of those for its methods is slow.
      else if (typeof value === 'object' && isObservable(value)) this.settleObservable(task, value);
      else this.succeed(task, value);
    } catch (error) {
      // A result that throws when it is looked at. A promise has called this: nobody else would hear of it.
      this.node.reportDefect(error, 'worker.result');
      this.fail(task, new GateError('INTERNAL').toBody());
    }
  }

  /** The reply of an Observable is its last value, as with Nest's HTTP routes. */
  private settleObservable(task: TopicTask, stream: Observable<unknown>): void {
    const last = this.lastOf(task);
    const observer = {
      next: (value: unknown) => last.item(value),
      error: (error: unknown) => last.fail(error),
      complete: () => last.end(),
    };
    // A stream, and with interceptors the handler itself, does its work when it is subscribed to.
    const subscription = this.scope.run(task, () => stream.subscribe(observer));
    // One that has ended within `subscribe` has nothing left to let go of.
    if (task.done) this.scope.run(task, () => subscription.unsubscribe());
    else this.follow(task, subscription);
  }

  /** The reply of an AsyncIterable is its last value too. */
  private settleIterable(task: TopicTask, iterable: AsyncIterable<unknown>): void {
    const producer = new PulledItems(iterable, undefined, this.lastOf(task));
    this.follow(task, producer);
    this.scope.run(task, () => producer.start());
  }

  /** Replies with the last item. */
  private lastOf(task: TopicTask): ItemTarget {
    let last: unknown;
    return {
      item: value => (last = value),
      fail: error => this.fail(task, task.handler.errorBody(error, task.message.topic)),
      overrun: () => undefined,
      end: () => this.succeed(task, last),
    };
  }

  /** The result of a task comes from a stream. A promise of a stream has its deadline already. */
  private follow(task: TopicTask, stream: { unsubscribe(): void }): void {
    task.stream = stream;
    if (task.wheelSlot < 0) this.wheel.add(task, task.call.deadline);
  }

  /** The result of a handler whose client wants a stream: what is no stream is the reply. */
  private settleItems(task: TopicTask, outlet: StreamOutlet, value: unknown): void {
    const isIterable = isAsyncIterable(value);
    if (!isIterable && !isObservable(value)) {
      this.succeed(task, value);
      return;
    }
    if (task.done) {
      if (isIterable) endIteration(value);
      return;
    }
    const producer = isIterable
      ? new PulledItems(value, outlet, this.itemsOf(task, outlet))
      : new PushedItems(value, outlet, this.itemsOf(task, outlet));
    task.stream = producer;
    outlet.isActive = true;
    this.wheel.remove(task);
    this.wheel.add(task, performance.now() + outlet.patienceMs);
    this.scope.run(task, () => producer.start());
    // The client's next frames do not wait for the end of the stream.
    this.freeLane(task);
  }

  private itemsOf(task: TopicTask, outlet: StreamOutlet): ItemTarget {
    return {
      item: value => this.sendItem(task, outlet, value),
      fail: error => this.fail(task, task.handler.errorBody(error, task.message.topic)),
      overrun: () => this.breakOff(task, new GateError('SLOW_CONSUMER')),
      end: () => this.complete(task, outlet),
    };
  }

  private sendItem(task: TopicTask, outlet: StreamOutlet, value: unknown): void {
    if (task.done) return;
    let body: Body;
    try {
      body = encodeBody(value, task.message.topic, 'item');
    } catch (error) {
      const { code, message } = this.defect(error);
      this.breakOff(task, new GateError(code, message));
      return;
    }
    outlet.send(body);
  }

  /** The end of a stream. */
  private complete(task: TopicTask, { items }: StreamOutlet): void {
    if (task.done) return;
    answerStream(task.call, { items, isMoved: false });
    this.finish(task);
  }

  /** Ends a stream with an error that its producer does not know of. */
  breakOff(task: TopicTask, error: GateError): void {
    if (task.done) return;
    task.call.peer.fail(task.call, error);
    this.drop(task, error);
  }

  /** Leaves a frame behind that nobody waits for any more. */
  drop(task: TopicTask, reason: GateError): void {
    if (task.done) return;
    const { stream, context } = task;
    this.finish(task);
    this.scope.run(task, () => context?.abort(reason));
    if (stream instanceof PulledItems) this.late.watch(task.message.topic, stream);
  }

  private succeed(task: TopicTask, value: unknown): void {
    if (task.done) return;
    let body: Body;
    try {
      if (!task.message.wantsResult && isAsyncIterable(value)) {
        this.settleIterable(task, value);
        return;
      }
      body = task.message.wantsResult ? encodeBody(value, task.message.topic, 'reply') : NO_BODY;
    } catch (error) {
      // No AsyncIterable can be encoded. Asked for first, every reply would pay for it.
      if (isAsyncIterable(value)) this.settleIterable(task, value);
      else this.fail(task, this.defect(error));
      return;
    }
    const { call } = task;
    if (task.outlet) answerStream(call, { items: 0, isMoved: false, body });
    else call.peer.reply(call, topicContract.message, body);
    this.finish(task);
  }

  private fail(task: TopicTask, error: ErrorBody): void {
    if (task.done) return;
    const { call } = task;
    call.peer.fail(call, new GateError(error.code, error.message, error.details));
    this.finish(task);
  }

  private defect(error: unknown): ErrorBody {
    this.logger.error(error);
    return new GateError('INTERNAL').toBody();
  }

  private finish(task: TopicTask): void {
    if (task.done) return;
    this.noteEnd(task);
    this.wheel.remove(task);
    const { stream, lane } = task;
    if (lane.signals && task.context) lane.signals.delete(task.context);
    // What the application has to let go of is done in its own scope, however the frame has ended.
    if (stream) this.scope.run(task, () => stream.unsubscribe());
    this.freeLane(task);
  }

  /** Lets the next frame of the client begin. */
  private freeLane(task: TopicTask): void {
    const { lane } = task;
    if (lane.running !== task) return;
    lane.running = undefined;
    this.onLaneFree(lane);
  }

  /** A task has ended, or is not started any more. */
  noteEnd(task: TopicTask): void {
    task.done = true;
    if (task.outlet) this.streams.delete(task.call.peer, task.outlet.stream);
    this.inFlight.end();
  }
}

/** Tells a gate that one of its streams has ended. */
function answerStream(call: IncomingCall, end: StreamEnd): void {
  const { adopt, begin } = streamContract;
  call.peer.reply(call, call.operationId === adopt.id ? adopt : begin, end);
}
