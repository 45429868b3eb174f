import { Injectable, Logger } from '@nestjs/common';
import { type ApplicationConfig, ModuleRef } from '@nestjs/core';
import { type CustomTransportStrategy, type MessageHandler, type MsPattern, Server } from '@nestjs/microservices';
import {
  type Caller,
  createCaller,
  LinkNode,
  sessionContract,
  type SessionContract,
  topicContract,
} from '@nestgate/link';
import { moduleOf } from '@nestgate/protocol';
import { AppStart } from '../node/app-start.js';
import { PresenceWatcher } from '../presence/presence-watcher.js';
import { BoundedLog } from '../log/bounded-log.js';
import { CurrentClient } from './current-client.js';
import type { TopicLoad } from './lane-table.js';
import { GATE_TRANSPORT_ID, type TopicMetadata } from './on-topic.decorator.js';
import {
  EnhancerFinder,
  type GlobalEnhancers,
  globalEnhancers,
  hasForeignEnhancers,
  isUnchanged,
} from './handler-enhancers.js';
import { stockThrottler } from './stock-throttler.js';
import { adaptRpcFilters } from './rpc-filters.js';
import { type ExploredTopic, TopicExplorer } from './topic-explorer.js';
import { TopicHandler } from './topic-handler.js';
import { loadTraceContext } from './trace-context.js';
import { TopicRunner } from './topic-runner.js';

/** How long `close()` waits for handlers that still run, in milliseconds. */
const DRAIN_MS = 5_000;
/** How long it waits for the gates to stop sending, in milliseconds. */
const SYNC_MS = 1_000;

/** Names that one warning shows, and its longest text. */
const MAX_NAMES = 20;
const MAX_WARNING = 4_096;
const HOOKS = 'getGlobalPreRequestHooks';
const nothing = (): void => undefined;
/** How long after the start of the app the transport may be started, and how long its hooks may take, before a warning; in milliseconds. */
const FORGOTTEN_MS = 1_000;
const UNINITIALIZED_MS = 5_000;
/** All topics may be named at the start, at the level debug. */
const LINES_PER_SECOND = 1_000;
/** Names of handlers that the warning shows. */
const SHOWN_NAMES = 3;

const NO_LOAD: TopicLoad = Object.freeze({ running: 0, waiting: 0, clients: 0 });

/** `status` of the transport: whether it takes frames. */
export type GateTransportStatus = 'listening' | 'closed';

/** The events of {@link GateTransport.on}. */
export type GateTransportEvents = {
  listening: () => void;
  close: () => void;
};

/**
 * The Nest transport strategy that hands client frames to `@OnTopic` methods.
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
  /** The topics whose pipeline Nest has made with the configuration of this app, and what that was then. */
  private readonly ownPipelines = new Map<string, GlobalEnhancers>();
  private pipelineMade = false;
  private runner: TopicRunner | undefined;
  private presence: PresenceWatcher | undefined;
  private stopListening: (() => void) | undefined;

  constructor(
    private readonly node: LinkNode,
    private readonly explorer: TopicExplorer,
    private readonly currentClient: CurrentClient,
    private readonly start: AppStart,
    private readonly moduleRef: ModuleRef,
  ) {
    super();
    this.gates = createCaller(node, sessionContract);
    this.config = moduleRef['container'].applicationConfig;
    this.watchPipelines(this.config);
    if (!adaptRpcFilters()) {
      this.log.warn(
        'This version of @nestjs/microservices is not known: exception filters that fail hide the error that they were asked about',
      );
    }
    start.addUnserved(() => {
      const { length } = this.explorer.explore();
      return length === 0 ? undefined : `topics are not handled (${length})`;
    });
    void start.add('report', () => this.watchForgotten());
  }

  /**
   * Starts taking frames: joins the link and announces the modules of the handlers. In a hybrid app that happens when all its
   * `onModuleInit` and `onApplicationBootstrap` hooks have run, in `app.listen()` or `app.init()`.
   * @throws {Error} when two methods handle one topic.
   */
  async listen(callback: (error?: unknown) => void): Promise<void> {
    this.endWatch();
    const { start } = this;
    try {
      this.warnOfThrottler(this.explorer.explore());
      const runner = new TopicRunner(
        this.node,
        this.collectHandlers(),
        await loadTraceContext(),
        this.currentClient.prepare(),
      );
      this.runner = runner;
      if (!start.isInitialized) this.watchUninitialized();
      await start.add('topics', () => this.takeFrames(runner));
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
    this.stopListening = this.node.onPeer(change => {
      if ('id' in change) runner.forgetPeer(change.id);
    });
    const topics = [...this.messageHandlers.keys()];
    const modules = [...new Set(topics.map(moduleOf))];
    // Where the link is joined here, a worker comes with its modules; an app whose hooks have joined it tells of them now.
    this.node.announce({ modules });
    if (PresenceWatcher.isNeeded(this.messageHandlers)) {
      this.presence = new PresenceWatcher(this.node, this.messageHandlers);
    }
    await this.node.open();
    runner.trust.start();
    this.presence?.start();
    this.log.log(`Handles ${countOf(topics.length, 'topic')} of ${countOf(modules.length, 'module')}`);
    for (const topic of topics) this.log.debug(topic);
    this._status$.next('listening');
    for (const listener of this.listeners.listening) listener();
  }

  /**
   * Tells the gates that no more frames should come, waits (at most 1 s) until none are under way, and (at most 5 s) for the
   * handlers that still run.
   */
  async close(): Promise<void> {
    const { runner } = this;
    clearTimeout(this.timer);
    if (!runner) return;
    this.runner = undefined;
    this.node.announce({ modules: [], draining: true });
    if (this.node.isUp) await this.gates.sync.gather(undefined, { deadlineMs: SYNC_MS }).catch(() => undefined);
    const idle = Promise.all([runner.whenIdle(DRAIN_MS), this.presence?.stop()]);
    await settledWithin(idle, DRAIN_MS);
    this.node.flush();
    this.currentClient.stop();
    runner.trust.stop();
    this.stopListening?.();
    this._status$.next('closed');
    for (const listener of this.listeners.close) listener();
  }

  /** What the handlers have to do now; counted when asked for. Nothing while the transport does not listen. */
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

  /** Handlers that nobody will ever call are a mistake that is hard to see later. */
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
    const { config } = this;
    if (this.pipelineMade && config) {
      this.ownPipelines.set(this.normalizePattern(pattern as MsPattern), globalEnhancers(config));
    }
    this.pipelineMade = false;
    this.endWatch();
  }

  /**
   * A microservice of a hybrid app may have a configuration of its own, with guards that this one knows nothing of. Which
   * one a pipeline is made with can only be seen by its being asked. It is watched only while Nest makes a pipeline, so that the
   * application finds it as it has left it.
   */
  private watchPipelines(config: ApplicationConfig | undefined): void {
    // Nest asks for the id right before it makes a pipeline.
    const get = (): symbol => {
      this.pipelineMade = false;
      if (config && !this.runner) this.watch(config);
      return GATE_TRANSPORT_ID;
    };
    Object.defineProperty(this, 'transportId', { get, enumerable: true });
  }

  private watch(config: ApplicationConfig): void {
    this.endWatch();
    const before = Object.getOwnPropertyDescriptor(config, HOOKS);
    // oxlint-disable-next-line typescript/unbound-method -- called with its object below
    const { getGlobalPreRequestHooks: hooks } = config;
    const watched = (): ReturnType<typeof hooks> => {
      this.pipelineMade = true;
      return hooks.call(config);
    };
    config[HOOKS] = watched;
    this.endWatch = () => {
      this.endWatch = nothing;
      // What has been put in its place meanwhile stays.
      if (config[HOOKS] !== watched) return;
      if (before) Object.defineProperty(config, HOOKS, before);
      else Reflect.deleteProperty(config, HOOKS);
    };
  }

  private endWatch: () => void = nothing;

  private collectHandlers(): Map<string, TopicHandler> {
    const { config } = this;
    const finder = config && !hasForeignEnhancers(config) ? new EnhancerFinder(this.moduleRef['container']) : undefined;
    const plain = finder && this.explorer.plainCalls(finder);
    const handlers = new Map<string, TopicHandler>();
    const doubts = this.explorer.payloadDoubts();
    this.warnOfUntyped([...doubts.values()].filter(({ isUntyped }) => isUntyped).map(({ name }) => name));
    for (const [topic, callback] of this.messageHandlers) {
      const all = callback.extras?.['topics'] as readonly TopicMetadata[] | undefined;
      const metadata = all?.find(each => each.topic === topic);
      const made = this.ownPipelines.get(topic);
      // What is added later is in no pipeline.
      const call = config && made && isUnchanged(made, config) ? plain?.get(topic) : undefined;
      handlers.set(topic, new TopicHandler(callback, metadata, call, doubts.get(topic)?.name));
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

/** Waits for something, but not for ever. */
async function settledWithin(running: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([running, new Promise(resolve => (timer = setTimeout(resolve, timeoutMs)))]);
  clearTimeout(timer);
}
