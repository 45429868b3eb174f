import type { EventEmitter } from 'node:events';
import {
  Injectable,
  Module,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import { HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { runLast } from '../internals/nest.js';
import { BoundedLog } from '../log/bounded-log.js';

/** The steps of a start, in the order in which they run. */
export type StartPhase = 'prepare' | 'topics' | 'link' | 'clients' | 'report';
/** A step of the start. When it rejects, `app.listen()` or `app.init()` does. */
export type StartStep = () => void | Promise<void>;

/** How long after its hooks an app with an HTTP server may take to listen, in milliseconds. */
const LISTEN_MS = 1_000;

type Listen = (...args: unknown[]) => unknown;
/** What is used of Nest's HTTP adapters. */
interface HttpListener {
  listen?: Listen;
  getHttpServer?(): EventEmitter | undefined;
}

/**
 * Knows when an app starts to serve: all its `onModuleInit` and `onApplicationBootstrap` hooks have run, and it is about to listen, as an
 * HTTP server or with the `GateTransport`. The link is joined, topics are announced and clients are accepted in the steps that
 * run then. An app that never listens, such as the context of a script, never gets there.
 *
 * Its hooks run after those of all other modules; when the app is closed, before them.
 */
@Injectable()
export class AppStart implements OnApplicationBootstrap, OnModuleDestroy, OnApplicationShutdown {
  /** Whether all hooks of the app have run. */
  isInitialized = false;
  /** Whether the app has been closed. */
  isClosed = false;
  private readonly log = new BoundedLog('NestgateStart');
  private readonly steps: Record<StartPhase, StartStep[]> = {
    prepare: [],
    topics: [],
    link: [],
    clients: [],
    report: [],
  };
  private readonly unserved: (() => string | undefined)[] = [];
  private readonly stops: (() => void)[] = [];
  private readonly listenChecks: ((args: readonly unknown[]) => void)[] = [];
  private isWanted = false;
  private serving: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private immediate: NodeJS.Immediate | undefined;

  constructor(
    modules: ModulesContainer,
    private readonly adapterHost: HttpAdapterHost,
  ) {
    runLast(modules, AppStartModule);
  }

  /** Whether the app serves, or is about to. */
  get isServing(): boolean {
    return this.serving !== undefined;
  }

  /** Adds a step. It runs when the app starts to serve: at once, if it does already. */
  async add(phase: StartPhase, step: StartStep): Promise<void> {
    if (!this.serving) {
      this.steps[phase].push(step);
      return;
    }
    await this.serving;
    await step();
  }

  /** Adds what is left undone in an app that does not serve, for the warning about it; `undefined` when nothing is. */
  addUnserved(describe: () => string | undefined): void {
    this.unserved.push(describe);
  }

  /** Adds what is done first when the app is closed: before the hooks of all other modules. */
  addStop(stop: () => void): void {
    this.stops.push(stop);
  }

  /** Adds what is asked before an HTTP server listens. When it throws, `app.listen()` rejects. `args` are those of the adapter. */
  addListenCheck(check: (args: readonly unknown[]) => void): void {
    this.listenChecks.push(check);
  }

  /** Starts to serve, once all hooks of the app have run. Before that, it resolves at once. */
  async begin(): Promise<void> {
    this.isWanted = true;
    if (this.isInitialized) await (this.serving ??= this.serve());
  }

  async onApplicationBootstrap(): Promise<void> {
    // Nest may call the hooks of an app twice: with `deferInitialization`, and where a microservice is initialized by itself.
    const isFirst = !this.isInitialized;
    this.isInitialized = true;
    if (isFirst) this.watchListen();
    if (this.isWanted) await this.begin();
    else if (isFirst) this.watchIdle();
  }

  onModuleDestroy(): void {
    for (const stop of this.stops) stop();
  }

  onApplicationShutdown(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
    clearImmediate(this.immediate);
  }

  private async serve(): Promise<void> {
    // In the order of the type.
    for (const steps of Object.values(this.steps)) for (const step of steps) await step();
  }

  /** The app serves before its HTTP server listens; what cannot be served is an error of `app.listen()`. */
  private watchListen(): void {
    const adapter = this.adapterHost.httpAdapter as unknown as HttpListener | undefined;
    const listen = adapter?.listen;
    if (!adapter || !listen) return;
    const wasOwn = Object.hasOwn(adapter, 'listen');
    adapter.listen = (...args) => {
      if (wasOwn) adapter.listen = listen;
      else Reflect.deleteProperty(adapter, 'listen');
      // Nest takes what its server says for the outcome of `app.listen()`.
      const fail = (error: unknown): void => {
        const server = adapter.getHttpServer?.();
        if (server && server.listenerCount('error') > 0) server.emit('error', error);
        else this.log.error(error);
      };
      const check = async (): Promise<void> => {
        for (const each of this.listenChecks) each(args);
      };
      check()
        .then(() => this.begin())
        .then(() => void Reflect.apply(listen, adapter, args))
        .catch(fail);
    };
  }

  /** One line for an app that serves nothing: its clients would get no answer, and nobody would know why. */
  private watchIdle(): void {
    const look = (): void => {
      if (this.serving) return;
      try {
        const what = this.unserved.map(describe => describe()).filter(text => text !== undefined);
        if (what.length === 0) return;
        this.log.warn(
          `The app has no server that listens: ${what.join(', ')}. Call app.listen(), or start the GateTransport`,
        );
      } catch (error) {
        // Topics that cannot be used, which would keep the app from being started.
        this.log.error(error);
      }
    };
    if (this.adapterHost.httpAdapter) this.timer = setTimeout(look, LISTEN_MS).unref();
    // A microservice listens in the same turn.
    else this.immediate = setImmediate(look);
  }
}

/** The module of {@link AppStart}: one in each app. */
@Module({ providers: [AppStart], exports: [AppStart] })
export class AppStartModule {}
