import { ClientProxy, type ReadPacket, type WritePacket } from '@nestjs/microservices';
import type { LinkNode } from '@nestgate/link';
import {
  type Caller,
  createCaller,
  sessionContract,
  type SessionContract,
  within,
  messageOf,
} from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { defer, from, type Observable, throwError } from 'rxjs';
import { BoundedLog } from '../log/bounded-log.js';
import { createLink } from '../node/node-options.js';
import { createNode } from '../node/node.providers.js';
import { type GateCall, prepareCall, settleGone } from './gate-call.js';
import { type GateClientOptions, resolveClientOptions } from './gate-client-options.js';
import type { GatePatterns } from './gate-patterns.js';

/** `status` of a {@link GateClientProxy}: whether its link is up. */
export type GateClientStatus = 'connected' | 'disconnected';

/** The events of {@link GateClientProxy.on}: the link has come up, or gone down. */
export type GateClientEvents = {
  connect: () => void;
  disconnect: () => void;
};

type Methods = Record<'call' | 'cast', (args: unknown, options?: { readonly deadlineMs: number }) => Promise<unknown>>;

/**
 * Nest's `ClientProxy` for gates: for services that work with `ClientsModule` and patterns instead of `GatewayApi`. The
 * patterns are the session operations of gates ({@link GatePatterns}).
 *
 * ```ts
 * ClientsModule.register([{ name: 'GATES', customClass: GateClientProxy, options: { link: 'tcp://127.0.0.1:7400' } }])
 *
 * client.send('bind', { clientId, userId }) // its result, once
 * client.emit('sendToGroup', { groups: 'room', topic: 'chat/said', body }) // sent, and not waited for
 * ```
 *
 * All errors are {@link GateError}: `BAD_ARGUMENT` before anything is sent, those of the operation, `LINK_UNAVAILABLE` while
 * there is no link, `LINK_CLOSED` after {@link close}.
 */
export class GateClientProxy extends ClientProxy<GateClientEvents> {
  private readonly log = new BoundedLog(GateClientProxy.name);
  private readonly options: Required<Pick<GateClientOptions, 'deadlineMs'>> & GateClientOptions;
  private readonly listeners: { [K in keyof GateClientEvents]: GateClientEvents[K][] } = {
    connect: [],
    disconnect: [],
  };
  private member: { readonly node: LinkNode; readonly gates: Caller<SessionContract>; stop(): void } | undefined;
  private joining: Promise<void> | undefined;
  private leaving: Promise<void> | undefined;
  private isUp = false;

  /** @throws {GateError} `BAD_ARGUMENT` for options that cannot be used. */
  constructor(options?: GateClientOptions) {
    super();
    this.options = resolveClientOptions(options);
    if (this.options.node) this.join(this.options.node);
  }

  /**
   * Joins the link, unless that has been done: `send` and `emit` do it when they are first needed. With a shared `node` it is
   * the app that joins.
   * @throws {GateError} `LINK_UNAVAILABLE` when the link cannot be reached, `BAD_ARGUMENT` when it refuses this node,
   * `LINK_CLOSED` after {@link close}.
   */
  override connect(): Promise<void> {
    if (this.leaving) return Promise.reject(new GateError('LINK_CLOSED'));
    return (this.joining ??= this.options.node ? Promise.resolve() : this.open());
  }

  /** Leaves the link, after all that was asked for before has been sent. A shared `node` stays on it. */
  override close(): Promise<void> {
    return (this.leaving ??= this.leave());
  }

  /** Whether the link is up, from the first time on that it has come up. */
  override get status(): Observable<GateClientStatus> {
    return super.status as Observable<GateClientStatus>;
  }

  override on<K extends keyof GateClientEvents>(event: K, callback: GateClientEvents[K]): void {
    this.listeners[event].push(callback);
  }

  /** The node of the link, as `LinkNode`. @throws {GateError} `LINK_UNAVAILABLE` before the first {@link connect}. */
  override unwrap<T = LinkNode>(): T {
    if (!this.member) throw new GateError('LINK_UNAVAILABLE', 'Not connected yet: call connect() first');
    return this.member.node as T;
  }

  /** Requests an operation from gates, once per subscription. Emits its result, the merged one of several gates, and completes. */
  override send<K extends keyof GatePatterns>(
    pattern: K,
    data: GatePatterns[K]['args'],
  ): Observable<GatePatterns[K]['result']>;
  /** As a `ClientProxy` it takes any pattern, and refuses those that it does not know. */
  override send<TResult, TInput>(pattern: never, data: TInput): Observable<TResult>;
  override send(pattern: unknown, data: unknown): Observable<unknown> {
    return defer(() => super.send<unknown, GateCall>(pattern, prepareCall(pattern, data)));
  }

  /**
   * Sends an operation at once. Pushes are not waited for; of other operations the result is dropped. What it emits is
   * nothing (once), or why it could not be sent.
   */
  override emit<K extends keyof GatePatterns>(pattern: K, data: GatePatterns[K]['args']): Observable<void>;
  /** As a `ClientProxy` it takes any pattern, and refuses those that it does not know. */
  override emit<TResult, TInput>(pattern: never, data: TInput): Observable<TResult>;
  override emit(pattern: unknown, data: unknown): Observable<unknown> {
    try {
      return super.emit<unknown, GateCall>(pattern, prepareCall(pattern, data));
    } catch (error) {
      return throwError(() => error);
    }
  }

  /** The hook of the application sees the data as they were given; what it adds for the other side has no place to travel. */
  protected override createPacket<T>(pattern: string, data: T): ReadPacket<T> {
    super.createPacket(pattern, (data as GateCall).given);
    return { pattern, data };
  }

  protected override publish({ data }: ReadPacket<GateCall>, callback: (packet: WritePacket) => void): () => void {
    const outcome = from(this.call(data)).subscribe({
      next: response => callback({ response }),
      error: (err: unknown) => callback({ err }),
      // A step of its own: a result that is `undefined` would complete without being emitted.
      complete: () => callback({ isDisposed: true }),
    });
    return () => outcome.unsubscribe();
  }

  protected override async dispatchEvent<T>({ data }: ReadPacket<GateCall>): Promise<T> {
    await (data.canCast ? this.methodsOf(data).cast(data.args) : this.call(data));
    return undefined as T;
  }

  private async call(call: GateCall): Promise<unknown> {
    return settleGone(call.pattern, this.methodsOf(call).call(call.args, { deadlineMs: this.options.deadlineMs }));
  }

  private methodsOf({ pattern }: GateCall): Methods {
    if (!this.member) throw new GateError('LINK_CLOSED');
    return this.member.gates[pattern] as unknown as Methods;
  }

  private async open(): Promise<void> {
    try {
      const node = createNode('api', await createLink(this.options), this.options);
      this.join(node);
      const { deadlineMs } = this.options;
      await within(node.open(), deadlineMs, () => {
        throw new GateError('LINK_UNAVAILABLE', `Not connected within ${deadlineMs} ms`);
      });
      // Without any, each call says so.
      await node.untilGates(deadlineMs).catch(() => undefined);
    } catch (error) {
      // Why it could not be joined is what matters.
      await this.part().catch(() => undefined);
      this.joining = undefined;
      if (error instanceof GateError) throw error;
      throw new GateError('LINK_UNAVAILABLE', `Cannot join the link: ${messageOf(error)}`);
    }
  }

  private join(node: LinkNode): void {
    const stop = node.onStatus(isUp => this.note(isUp));
    this.member = { node, gates: createCaller(node, sessionContract), stop };
    this.note(node.isUp);
  }

  private async leave(): Promise<void> {
    await this.joining?.catch(() => undefined);
    // Callers that waited for the link continue before the next turn.
    await new Promise(resolve => setImmediate(resolve));
    await this.part();
  }

  private async part(): Promise<void> {
    const { member } = this;
    this.member = undefined;
    if (member && member.node !== this.options.node) await member.node.close();
    member?.stop();
    this.note(false);
  }

  private note(isUp: boolean): void {
    if (this.isUp === isUp) return;
    this.isUp = isUp;
    this._status$.next(isUp ? 'connected' : 'disconnected');
    for (const listener of this.listeners[isUp ? 'connect' : 'disconnect']) {
      try {
        listener();
      } catch (error) {
        // The link tells its other listeners too, and must not stop at this one.
        this.log.error(error);
      }
    }
  }
}
