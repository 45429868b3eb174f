import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { type JsonValue, LinkNode } from '@nestgate/link';
import {
  type ClientMessage,
  DeadlineWheel,
  inAsyncScope,
  type Peer,
  type Pending,
  present,
  topicContract,
} from '@nestgate/link/internal';
import { type Body, type ErrorBody, type ErrorCode, GateError, moduleOf, NO_BODY } from '@nestgate/protocol';
import { BoundedLog } from '@nestgate/worker/internal';
import { isWellFormed } from '../body-value.js';
import type { ClientAgent } from '../client/client-agent.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import { UsualWorkerChoice, WorkerChoice } from '../hooks/worker-choice.js';
import { ClientRequest } from './client-request.js';
import { StartupWindow } from './startup-window.js';
import { StreamTable } from './stream-table.js';
import { MAX_WAITING, WaitingFrame } from './waiting-room.js';
import { WorkerDirectory } from './worker-directory.js';

/**
 * The setting that pins a session to workers: an object of worker ids by module. The name is reserved, so that no other setting affects
 * routing.
 */
const WORKER_PINS = '$workers';
/** Topics whose module is remembered. */
const MAX_CACHED_TOPICS = 4_096;
/**
 * After a frame has waited for a worker without success, the next frames of the client do not wait for this time, in milliseconds.
 * Otherwise each frame that the client has sent meanwhile would wait again, one after another.
 */
const WAIT_SPENT_MS = 100;
/**
 * 4 MiB. Above this number of waiting bytes for a worker, the gate pauses a client that sends more frames to it, until the worker has
 * acknowledged them. Large frames then wait in the client and in the kernel. In the gate's memory they would take several times their
 * size.
 */
const MAX_WAITING_BYTES = 4_194_304;

/**
 * Sends client frames to workers. It selects the worker of the application's `WorkerChoice`, else the one to which the session is pinned
 * (setting `$workers`), else the one that the client used last, which keeps its frames in order across modules, else the least loaded
 * one.
 */
@Injectable()
export class TopicRouter implements OnApplicationShutdown {
  /** Makes the requests of traced frames, and notes their trace in the message; only where OpenTelemetry is there. */
  trace: ((agent: ClientAgent, topic: string, id: number, message: ClientMessage) => ClientRequest) | undefined;
  private readonly log = new BoundedLog(TopicRouter.name);
  private readonly modules = new Map<string, string>();
  /** Whether the application decides, by frame. */
  readonly hasChoice: boolean;
  /** The frame of a client that waits for a worker: those behind it are held back, so that it is one at most. */
  private readonly waiting = new Map<ClientAgent, WaitingFrame>();
  private readonly wheel: DeadlineWheel;
  /** Whether a worker may have been told to forget a client that is still being seen off. */
  private mayHaveForgotten = false;
  /** Reused for each frame: its fields are written to the link before the next frame. */
  private readonly message: ClientMessage = {
    serial: 0,
    topic: '',
    body: NO_BODY,
    wantsResult: false,
    session: undefined,
  };

  /**
   * Has the gate that a client is moving to begin a stream; false when the client stays here after all. Set by what knows where clients
   * move.
   */
  passOn: (agent: ClientAgent, topic: string, body: Body, id: number) => Promise<boolean> = () =>
    Promise.resolve(false);

  constructor(
    private readonly node: LinkNode,
    private readonly directory: WorkerDirectory,
    private readonly workerChoice: WorkerChoice,
    private readonly startup: StartupWindow,
    @Inject(RESOLVED_GATE_OPTIONS) private readonly options: ResolvedGateOptions,
    private readonly streams: StreamTable,
  ) {
    this.wheel = new DeadlineWheel(undefined, error => node.reportDefect(error, 'router.wait'));
    this.hasChoice = !(workerChoice instanceof UsualWorkerChoice);
    directory.onChange(() => this.retryWaiting());
  }

  /** Frames that wait for a worker, of all clients together. */
  get waitingCount(): number {
    return this.waiting.size;
  }

  /** Routes a client's frame to a worker. `arrivedAt` is when its time began, in milliseconds of `performance.now()`. */
  route(agent: ClientAgent, topic: string, body: Body, id: number, arrivedAt: number, isStream = false): void {
    const module = this.moduleOf(topic);
    const worker = this.choose(agent, topic, module);
    if (worker !== agent.worker && agent.orderedCount > 0 && this.mayBeBusy(agent, module)) {
      agent.blockUntilSettled(() => {
        try {
          this.route(agent, topic, body, id, arrivedAt, isStream);
        } catch (error) {
          // The pooled request already belongs to another frame: an error of this frame must not reach it.
          agent.failFrame(id, topic, error, false);
        }
      });
      return;
    }
    if (!worker) {
      this.wait(agent, topic, module, body, id, arrivedAt, isStream);
      return;
    }
    if (!isStream) agent.beginRequest(id);
    this.send(agent, worker, topic, body, id, arrivedAt + this.options.requestTimeout, isStream);
  }

  /** Tells a worker of something that has happened to a client; false when no worker listens now. */
  routeEvent(agent: ClientAgent, topic: string, body: Body, pending: Pending, deadline: number): boolean {
    const worker = this.choose(agent, topic, topic);
    if (!worker) return false;
    if (this.mayHaveForgotten && agent.isClosed) agent.workerVersion = 0;
    this.request(agent, worker, topic, body, false, pending, deadline);
    return true;
  }

  /** The session has changed: sends it to its worker, before the answer to a request of that worker. */
  tell(agent: ClientAgent): void {
    const { worker, sessionState: session } = agent;
    if (!worker || !this.isPresent(worker) || agent.workerVersion === session.version) return;
    // One that has got nothing of the client yet gets the session with its first frame.
    if (agent.workerVersion === 0) return;
    agent.workerVersion = session.version;
    worker.notify(topicContract.update, { serial: agent.serial, session: session.snapshot() });
  }

  /** A client has come from another gate, where it used this worker last. */
  prefer(agent: ClientAgent, worker: Peer): void {
    this.directory.noteMove(agent.worker, worker);
    agent.worker = worker;
    agent.workerVersion = 0;
  }

  /** Whether the application has said which worker a client uses. */
  isPinned(agent: ClientAgent): boolean {
    return this.hasChoice || agent.sessionState.get(WORKER_PINS) !== undefined;
  }

  /** Gives a client that has nothing unanswered to another worker, which gets its next frame. The one before forgets it. */
  shift(agent: ClientAgent, to: Peer): void {
    const { worker } = agent;
    if (worker && this.isPresent(worker)) worker.notify(topicContract.forget, { serial: agent.serial });
    this.directory.noteMove(worker, to);
    agent.worker = to;
    agent.workerVersion = agent.otherWorkers?.get(to) ?? 0;
    agent.otherWorkers?.delete(to);
  }

  /** The client is gone: so is its frame that waits for a worker. */
  abandon(agent: ClientAgent): void {
    const frame = this.waiting.get(agent);
    if (!frame) return;
    this.waiting.delete(agent);
    this.wheel.remove(frame);
    agent.counters.add('frames_abandoned', 'client_gone');
  }

  /** The client is gone: its workers drop their copies of the session. What waits for it has been {@link abandon}ed. */
  forget(agent: ClientAgent): void {
    if (!agent.worker) return;
    const args = { serial: agent.serial };
    for (const worker of [agent.worker, ...(agent.otherWorkers?.keys() ?? [])]) {
      if (this.isPresent(worker)) worker.notify(topicContract.forget, args);
    }
    this.directory.noteMove(agent.worker, undefined);
    agent.worker = undefined;
    agent.otherWorkers = undefined;
  }

  /** A worker may not know that a client is gone. */
  forgetAgain(worker: Peer, serial: number): void {
    this.mayHaveForgotten = true;
    worker.notify(topicContract.forget, { serial });
  }

  onApplicationShutdown(): void {
    this.wheel.stop();
    this.waiting.clear();
  }

  private choose(agent: ClientAgent, topic: string, module: string): Peer | undefined {
    const workers = this.directory.workersOf(module);
    const { length } = workers;
    if (length === 0) return undefined;
    const chosen = this.hasChoice ? this.askChoice(agent, topic, module, workers) : undefined;
    if (chosen) return chosen;
    const pins = agent.sessionState.get(WORKER_PINS);
    if (pins !== undefined) {
      const pinned = workers.find(worker => worker.info.id === pinOf(pins, module));
      if (pinned) return pinned;
    }
    if (agent.worker && workers.includes(agent.worker)) return agent.worker;
    return length === 1 ? workers[0] : this.directory.leastLoaded(workers);
  }

  /**
   * Whether the previous worker of the client may still have frames of this module: a new worker would handle the next frame
   * concurrently with them, or earlier.
   */
  private mayBeBusy({ worker, otherWorkers }: ClientAgent, module: string): boolean {
    const has = (peer: Peer) => this.isPresent(peer) && (peer.info.draining || peer.info.modules.includes(module));
    if (worker && has(worker)) return true;
    for (const other of otherWorkers?.keys() ?? []) if (has(other)) return true;
    return false;
  }

  private askChoice(agent: ClientAgent, topic: string, module: string, workers: readonly Peer[]): Peer | undefined {
    const loads = this.directory.loadsOf(workers);
    const question = {
      session: agent.session,
      topic,
      module,
      workers: loads.map((load, place) => Object.assign({ id: present(workers[place]).info.id }, load)),
      current: agent.worker?.info.id,
    };
    try {
      const chosen = inAsyncScope(() => this.workerChoice.choose(question));
      return workers.find(worker => worker.info.id === chosen);
    } catch (error) {
      this.log.error(error);
      return undefined;
    }
  }

  private send(
    agent: ClientAgent,
    worker: Peer,
    topic: string,
    body: Body,
    id: number,
    deadline: number,
    isStream: boolean,
  ): void {
    const wantsResult = id > 0 || agent.wire.pushesResults;
    if (isStream && agent.connection.session?.isHandedOver === true) {
      this.beginElsewhere(agent, topic, body, id, deadline - this.options.requestTimeout);
      return;
    }
    if (isStream) {
      agent.beginStream(id);
      const message = this.fill(agent, worker, topic, body, true);
      this.streams.begin(agent, worker, message, id, deadline, this.options.requestTimeout);
    } else if (this.trace) {
      this.request(agent, worker, topic, body, wantsResult, this.trace(agent, topic, id, this.message), deadline);
      this.message.trace = undefined;
    } else {
      this.request(agent, worker, topic, body, wantsResult, new ClientRequest(agent, topic, id), deadline);
    }
    if (worker.waitingBytes > MAX_WAITING_BYTES) {
      agent.block();
      this.resumeWhenDrained(agent, worker);
    }
  }

  /** A stream is begun where it goes on: on the gate that the client is moving to. */
  private beginElsewhere(agent: ClientAgent, topic: string, body: Body, id: number, arrivedAt: number): void {
    agent.beginRequest(id);
    this.passOn(agent, topic, body, id)
      .then(isPassed => {
        if (isPassed || agent.isClosed) agent.endRequest(id);
        else agent.restartRequest(id, () => this.route(agent, topic, body, id, arrivedAt, true));
      })
      .catch((error: unknown) => agent.failFrame(id, topic, error, true));
  }

  /** One client after another: the first ones may have filled the backlog again. */
  private resumeWhenDrained(agent: ClientAgent, worker: Peer): void {
    const drained = worker.waitingBytes > MAX_WAITING_BYTES ? worker.whenDrained() : undefined;
    if (drained)
      drained.then(() => this.resumeWhenDrained(agent, worker)).catch((error: unknown) => this.log.error(error));
    else agent.unblock();
  }

  private request(
    agent: ClientAgent,
    worker: Peer,
    topic: string,
    body: Body,
    wantsResult: boolean,
    pending: Pending,
    deadline: number,
  ): void {
    worker.request(topicContract.message, this.fill(agent, worker, topic, body, wantsResult), pending, deadline);
  }

  private fill(agent: ClientAgent, worker: Peer, topic: string, body: Body, wantsResult: boolean): ClientMessage {
    const { message } = this;
    message.serial = agent.serial;
    message.topic = topic;
    message.body = body;
    message.wantsResult = wantsResult;
    message.session = this.newsFor(agent, worker) ? agent.sessionState.snapshot() : undefined;
    return message;
  }

  /** Whether the worker's copy of the session is outdated; marks it as current. */
  private newsFor(agent: ClientAgent, worker: Peer): boolean {
    const { version } = agent.sessionState;
    if (agent.worker !== worker) {
      this.noteLeft(agent);
      this.directory.noteMove(agent.worker, worker);
      agent.worker = worker;
      agent.workerVersion = agent.otherWorkers?.get(worker) ?? 0;
      agent.otherWorkers?.delete(worker);
    }
    if (agent.workerVersion === version) return false;
    agent.workerVersion = version;
    return true;
  }

  /** The client leaves its worker for another one: it is remembered, and those that are gone are not any more. */
  private noteLeft(agent: ClientAgent): void {
    const { worker, otherWorkers } = agent;
    for (const other of otherWorkers?.keys() ?? []) if (!this.isPresent(other)) otherWorkers?.delete(other);
    if (worker && this.isPresent(worker)) (agent.otherWorkers ??= new Map()).set(worker, agent.workerVersion);
    else if (otherWorkers?.size === 0) agent.otherWorkers = undefined;
  }

  /** Whether it is the peer of now, and not one that has been lost, or has started again. */
  private isPresent(peer: Peer): boolean {
    return this.node.peers.get(peer.info.id) === peer;
  }

  /** Nobody serves the module now: wait for a worker, unless there never was one and none may be on its way. */
  private wait(
    agent: ClientAgent,
    topic: string,
    module: string,
    body: Body,
    id: number,
    arrivedAt: number,
    isStream: boolean,
  ): void {
    const now = performance.now();
    const isKnown = this.directory.isKnown(module);
    const { modulesKnownAt } = this.startup;
    if (!isKnown && modulesKnownAt <= now) {
      this.refuse(agent, topic, body, id, 'NO_ROUTE');
    } else if (agent.waitSpentUntil > now || this.options.workerWait === 0 || this.isFull(agent)) {
      this.refuse(agent, topic, body, id, this.absence(module));
    } else {
      agent.beginRequest(id);
      const { requestTimeout, workerWait } = this.options;
      const frame = new WaitingFrame(agent, topic, module, body, id, isStream, arrivedAt + requestTimeout, late =>
        this.giveUp(late),
      );
      this.waiting.set(agent, frame);
      const until = Math.min(now + workerWait, arrivedAt + requestTimeout);
      this.wheel.add(frame, isKnown ? until : Math.min(until, modulesKnownAt));
      agent.block();
    }
  }

  private isFull(agent: ClientAgent): boolean {
    return this.waiting.size >= MAX_WAITING || this.waiting.has(agent);
  }

  private retryWaiting(): void {
    for (const frame of this.waiting.values()) {
      const worker = this.choose(frame.agent, frame.topic, frame.module);
      if (!worker) continue;
      this.waiting.delete(frame.agent);
      this.wheel.remove(frame);
      try {
        const { agent, topic, body, id, requestDeadline, isStream } = frame;
        const send = (): void => this.send(agent, worker, topic, body, id, requestDeadline, isStream);
        // It has been counted while it waited; as a stream from now on.
        if (isStream) agent.restartRequest(id, send);
        else send();
      } catch (error) {
        // Frames of other clients are unaffected.
        frame.agent.failFrame(frame.id, frame.topic, error, true);
      }
      frame.agent.unblock();
    }
  }

  private giveUp(frame: WaitingFrame): void {
    const { agent, topic, body, id } = frame;
    this.waiting.delete(agent);
    this.refuse(agent, topic, body, id, this.absence(frame.module));
    agent.waitSpentUntil = performance.now() + WAIT_SPENT_MS;
    agent.endRequest(id);
    agent.unblock();
  }

  private absence(module: string): ErrorCode {
    return this.directory.isKnown(module) ? 'NO_WORKER' : 'NO_ROUTE';
  }

  /** Answers a frame without a worker. No code has parsed the body yet, so that a broken one must be detected here. */
  private refuse(agent: ClientAgent, topic: string, body: Body, id: number, code: ErrorCode): void {
    if (!isWellFormed(body)) agent.refuseBadFrame();
    else agent.sendError(id, errorBody(code), topic);
  }

  private moduleOf(topic: string): string {
    let module = this.modules.get(topic);
    if (module === undefined) {
      module = moduleOf(topic);
      // Cleared when full: topics that one client invents must not keep out the topics of all others.
      if (this.modules.size >= MAX_CACHED_TOPICS) this.modules.clear();
      this.modules.set(topic, module);
    }
    return module;
  }
}

/** The id of the worker that a session names for a module. Settings are the application's, and may be anything. */
function pinOf(pins: JsonValue, module: string): JsonValue | undefined {
  if (typeof pins !== 'object' || pins === null || Array.isArray(pins) || !Object.hasOwn(pins, module))
    return undefined;
  return (pins as { readonly [module: string]: JsonValue })[module];
}

function errorBody(code: ErrorCode): ErrorBody {
  return new GateError(code).toBody();
}
