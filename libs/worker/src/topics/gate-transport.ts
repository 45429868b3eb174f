import { Inject, Injectable, Logger } from '@nestjs/common';
import { type ApplicationConfig, ModuleRef } from '@nestjs/core';
import { type CustomTransportStrategy, type MessageHandler, type MsPattern, Server } from '@nestjs/microservices';
import { LinkNode } from '@nestgate/link';
import {
  type Caller,
  createCaller,
  sessionContract,
  type SessionContract,
  streamContract,
  loadContract,
  topicContract,
  within,
} from '@nestgate/link/internal';
import { moduleOf } from '@nestgate/protocol';
import { AppStart } from '../node/app-start.js';
import { contractChecks } from '../contract/contract-options.js';
import { NODE_OPTIONS, type NodeOptions } from '../node/node-options.js';
import { PresenceWatcher } from '../presence/presence-watcher.js';
import { configOf, nestFaults } from '../internals/nest.js';
import { BoundedLog } from '../log/bounded-log.js';
import { assertContractsHandled } from './contract/contract-coverage.js';
import { checkedResults } from './contract/contract-results.js';
import { CurrentClient } from './run/current-client.js';
import type { TopicLoad } from './run/lane-table.js';
import { GATE_TRANSPORT_ID, type TopicMetadata } from './on-topic.decorator.js';
import { finderOf, hasForeignEnhancers } from './handler/handler-enhancers.js';
import { PipelineWatch } from './handler/pipeline-watch.js';
import type { PlainCall } from './handler/plain-handler.js';
import { stockThrottler } from './handler/stock-throttler.js';
import { adaptRpcFilters } from './errors/rpc-filters.js';
import { type ExploredTopic, TopicExplorer } from './handler/topic-explorer.js';
import { TopicHandler } from './handler/topic-handler.js';
import { HandlerObservers } from '../telemetry/handler-observers.js';
import { loadTraceContext } from './trace-context.js';
import { TopicRunner } from './run/topic-runner.js';

/** Time that `close()` waits for running handlers, in milliseconds. */
const DRAIN_MS = 5_000;
/** Time that streams have to end by themselves when the app closes, in milliseconds: many never would. */
const STREAM_DRAIN_MS = 2_000;
/** Time that it waits for the gates to stop sending, in milliseconds. */
const SYNC_MS = 1_000;

/** Names that one warning shows, and its longest text. */
const MAX_NAMES = 20;
const MAX_WARNING = 4_096;
/** How long after the start of the app the transport may be started, and how long its hooks may take, before a warning; in milliseconds. */
const FORGOTTEN_MS = 1_000;
const UNINITIALIZED_MS = 5_000;
/** All topics may be named at the start, at the level debug. */
const LINES_PER_SECOND = 1_000;
/** Names of handlers that the warning shows. */
const SHOWN_NAMES = 3;

const NO_LOAD: TopicLoad = Object.freeze({ running: 0, waiting: 0, clients: 0, streams: 0, abandoned: 0 });

/** `status` of the transport: whether it accepts frames. */
export type GateTransportStatus = 'listening' | 'closed';

/** The events of {@link GateTransport.on}. */
export type GateTransportEvents = {
  listening: () => void;
  close: () => void;
};

/**
 * The Nest transport strategy that calls `@OnTopic` methods with client frames.
 *
 * ```ts
 * app.connectMicroservice({ strategy: app.get(GateTransport) }, { inheritAppConfig: true });
 * await app.startAllMicroservices();
 * ```
 */
@Injectable()
export class GateTransport extends Server<GateTransportEvents, GateTransportStatus> implements CustomTransportStrategy {
  /** Errors of `@OnConnect` methods are the gate's to know. */
  override readonly propagatesEventHandlerErrors = true;
  private readonly listeners: { [K in keyof GateTransportEvents]: GateTransportEvents[K][] } = {
    listening: [],
    close: [],
  };
  private readonly log = new BoundedLog(GateTransport.name, LINES_PER_SECOND);
  private timer: NodeJS.Timeout | undefined;
  private readonly gates: Caller<SessionContract>;
  private readonly config: ApplicationConfig | undefined;
  private readonly pipelines: PipelineWatch;
  private runner: TopicRunner | undefined;
  private presence: PresenceWatcher | undefined;
  private stopListening: (() => void) | undefined;

  constructor(
    private readonly node: LinkNode,
    private readonly explorer: TopicExplorer,
    private readonly currentClient: CurrentClient,
    private readonly start: AppStart,
    private readonly moduleRef: ModuleRef,
    @Inject(NODE_OPTIONS) private readonly options: NodeOptions,
    private readonly observers: HandlerObservers,
  ) {
    super();
    this.gates = createCaller(node, sessionContract);
    this.config = configOf(moduleRef);
    this.pipelines = new PipelineWatch(this.config);
    this.watchPipelines();
    for (const fault of nestFaults()) this.log.warn(`Nest is not as expected inside. ${fault}`);
    adaptRpcFilters();
    start.addUnserved(() => {
      const { length } = this.explorer.explore();
      return length === 0 ? undefined : `topics are not handled (${length})`;
    });
    // Before a gate in this process waits for its clients.
    start.addStop(() => this.runner?.drainStreams(STREAM_DRAIN_MS));
    void start.add('report', () => this.watchForgotten());
  }

  /**
   * Starts to accept frames: joins the link and announces the modules of the handlers. In a hybrid app that happens after all its
   * `onModuleInit` and `onApplicationBootstrap` hooks have run, in `app.listen()` or `app.init()`.
   * @throws {Error} when two methods handle one topic, or the handlers do not fit the contracts of the app.
   */
  async listen(callback: (error?: unknown) => void): Promise<void> {
    this.pipelines.end();
    const { start } = this;
    try {
      const topics = this.explorer.explore();
      assertContractsHandled(this.options, topics);
      this.warnOfThrottler(topics);
      const handlers = this.collectHandlers();
      const runner = new TopicRunner(this.node, handlers, await loadTraceContext(), this.currentClient.prepare());
      this.runner = runner;
      if (!start.isInitialized) this.watchUninitialized();
      await start.add('topics', async () => {
        // Now: observers are added in hooks of the app.
        await this.observers.wrap(handlers);
        await this.takeFrames(runner);
      });
      await start.begin();
    } catch (error) {
      callback(error);
      return;
    }
    callback();
  }

  private async takeFrames(runner: TopicRunner): Promise<void> {
    clearTimeout(this.timer);
    if (this.runner !== runner) return;
    this.node.dispatcher.serve(topicContract, {
      message: (message, call) => runner.accept(message, call),
      update: ({ serial, session }, call) => runner.learn(call.peer, serial, session),
      forget: ({ serial }, call) => runner.forget(call.peer, serial),
    });
    this.node.dispatcher.serve(loadContract, {
      load: (_args, call) => call.peer.reply(call, loadContract.load, runner.taskCount),
    });
    this.node.dispatcher.serve(streamContract, {
      begin: (message, call) => runner.acceptStream(message, call),
      adopt: (adoption, call) => runner.adopt(adoption, call),
      written: ({ stream, items }, call) => runner.noteWritten(call.peer, stream, items),
      cancel: ({ stream }, call) => runner.cancel(call.peer, stream),
    });
    const stops = [
      this.node.onPeer(change => {
        if ('id' in change) runner.forgetPeer(change.id);
      }),
      this.node.onGap(gate => runner.noteGap(gate)),
    ];
    this.stopListening = () => stops.forEach(stop => stop());
    const topics = [...this.messageHandlers.keys()];
    const modules = [...new Set(topics.map(moduleOf))];
    // A node that joins here joins with its modules; a node that joined in a hook announces them now.
    this.node.announce({ modules });
    if (PresenceWatcher.isNeeded(this.messageHandlers)) {
      this.presence = new PresenceWatcher(this.node, this.messageHandlers);
    }
    await this.node.open();
    runner.lease.start();
    this.presence?.start();
    this.log.log(`Handles ${countOf(topics.length, 'topic')} of ${countOf(modules.length, 'module')}`);
    for (const topic of topics) this.log.debug(topic);
    this._status$.next('listening');
    for (const listener of this.listeners.listening) listener();
  }

  /**
   * Announces to the gates that the worker drains. Waits at most 1 s for frames in flight, and at most 5 s for running handlers. Streams that
   * have not ended 2 s after the app began to close end with `WORKER_LOST`.
   */
  async close(): Promise<void> {
    const { runner } = this;
    clearTimeout(this.timer);
    if (!runner) return;
    this.runner = undefined;
    runner.drainStreams(STREAM_DRAIN_MS);
    this.node.announce({ modules: [], draining: true });
    if (this.node.isUp) await this.gates.sync.gather(undefined, { deadlineMs: SYNC_MS }).catch(() => undefined);
    const idle = Promise.all([runner.whenIdle(DRAIN_MS), this.presence?.stop()]);
    await within<unknown>(idle, DRAIN_MS, () => undefined);
    runner.stop();
    this.node.flush();
    this.currentClient.stop();
    runner.lease.stop();
    this.stopListening?.();
    this._status$.next('closed');
    for (const listener of this.listeners.close) listener();
  }

  /** Current load of the handlers, counted on each call. Zero while the transport does not listen. */
  load(): TopicLoad {
    return this.runner?.load() ?? NO_LOAD;
  }

  on<K extends keyof GateTransportEvents>(event: K, callback: GateTransportEvents[K]): void {
    this.listeners[event].push(callback);
  }

  /** The node of the link, as `LinkNode`. */
  unwrap<T = LinkNode>(): T {
    return this.node as T;
  }

  /** Warns of handlers that will never be called, because that mistake is hard to detect later. */
  private watchForgotten(): void {
    const { start } = this;
    clearTimeout(this.timer);
    const look = (): void => {
      const topics = this.runner || start.isClosed ? [] : this.explorer.explore();
      if (topics.length === 0) return;
      const names = topics.slice(0, SHOWN_NAMES).map(topic => topic.name);
      const rest = topics.length > names.length ? `, and ${topics.length - names.length} more` : '';
      this.log.warn(
        `Topics are not handled (${names.join(', ')}${rest}): the GateTransport was not started. ` +
          'Before app.listen(): app.connectMicroservice({ strategy: app.get(GateTransport) }, { inheritAppConfig: true }); ' +
          'await app.startAllMicroservices();',
      );
    };
    // It may be started after `app.listen()`.
    this.timer = setTimeout(this.node.defects.guard('transport.warn', look), FORGOTTEN_MS).unref();
  }

  /** Nothing runs the hooks of a hybrid app but `app.listen()` and `app.init()`. */
  private watchUninitialized(): void {
    const look = (): void =>
      this.log.warn(
        'The app is not initialized yet: topics are announced when app.listen() or app.init() has run all hooks',
      );
    this.timer = setTimeout(this.node.defects.guard('transport.warn', look), UNINITIALIZED_MS).unref();
  }

  private warnOfThrottler(topics: readonly ExploredTopic[]): void {
    const where = topics.length > 0 && this.config ? stockThrottler(this.config, topics) : undefined;
    if (where === undefined) return;
    new Logger(GateTransport.name).warn(
      `The ${where === 'global' ? 'global ThrottlerGuard' : `ThrottlerGuard of ${where}`} counts topics by what clients send, and not ` +
        'by client: override its getRequestResponse as docs/worker.md shows under "Throttling"',
    );
  }

  /** Called by Nest for each handler, right after its pipeline has been made. */
  override addHandler(pattern: unknown, callback: MessageHandler, isEventHandler = false, extras = {}): void {
    super.addHandler(pattern, callback, isEventHandler, extras);
    this.pipelines.end(this.normalizePattern(pattern as MsPattern));
  }

  /** Nest asks for the id right before it makes a pipeline. */
  private watchPipelines(): void {
    const get = (): symbol => {
      if (this.runner) this.pipelines.end();
      else this.pipelines.begin();
      return GATE_TRANSPORT_ID;
    };
    Object.defineProperty(this, 'transportId', { get, enumerable: true });
  }

  private collectHandlers(): Map<string, TopicHandler> {
    const { config } = this;
    const finder = config && !hasForeignEnhancers(config) ? finderOf(this.moduleRef) : undefined;
    const plain = finder && this.explorer.plainCalls(finder);
    const handlers = new Map<string, TopicHandler>();
    const { results } = contractChecks(this.options);
    const doubts = this.explorer.payloadDoubts();
    this.warnOfUntyped([...doubts.values()].filter(({ isUntyped }) => isUntyped).map(({ name }) => name));
    for (const [topic, callback] of this.messageHandlers) {
      const all = callback.extras?.['topics'] as readonly TopicMetadata[] | undefined;
      const metadata = all?.find(each => each.topic === topic);
      const call = this.pipelines.isOwn(topic) ? plain?.get(topic) : undefined;
      const check = (results && metadata?.entry && checkedResults(metadata.entry)) || undefined;
      const handle = check ? (check(callback as PlainCall) as MessageHandler) : callback;
      const quick = check && call ? check(call) : call;
      handlers.set(topic, new TopicHandler(handle, metadata, quick, doubts.get(topic)?.name));
    }
    return handlers;
  }

  /** Without types every handler gets JSON, also one that declares a `Buffer`. */
  private warnOfUntyped(names: readonly string[]): void {
    if (names.length === 0) return;
    const unique = [...new Set(names)];
    const more = unique.length - MAX_NAMES;
    this.log.warn(
      `${unique.slice(0, MAX_NAMES).join(', ')}${more > 0 ? ` and ${more} more` : ''}: the compiler has left no types of parameters ` +
        '(emitDecoratorMetadata; tsx and esbuild cannot), so that bytes are parsed as JSON even where a Buffer is declared. ' +
        "Set @OnTopic(topic, { payload: 'raw' }) or { payload: 'json' } there",
      MAX_WARNING,
    );
  }
}

function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
