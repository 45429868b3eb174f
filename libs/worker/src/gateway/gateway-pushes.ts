import {
  type Caller,
  type ClientId,
  createCaller,
  type LinkNode,
  sessionContract,
  type SessionContract,
} from '@nestgate/link';
import { GateError } from '@nestgate/protocol';
import type { CurrentClient } from '../topics/current-client.js';
import { BoundedLog } from '../log/bounded-log.js';
import { assertClientId, assertWait, excluded, idList, nameList, without } from './arguments.js';
import { encodeMessage } from './message.js';
import { SinglePush } from './single-push.js';
import type { AnyEvents, Answer, Confirm, Delivery, PushArgs, SendOptions, TopicOf } from './options.js';

/** What most pushes resolve with. */
const SENT: Promise<void> = Promise.resolve();
/** At most one log line in this time, in milliseconds, says that something has failed. */
const LOG_EVERY_MS = 10_000;

/** The operations that can be sent off, and asked for their outcome. */
type PushName = 'send' | 'broadcast' | 'sendToUid' | 'sendToGroup';

/** The pushes of {@link GatewayApi}. */
export abstract class GatewayPushes<E extends object = AnyEvents> {
  protected readonly gates: Caller<SessionContract>;
  private readonly log = new BoundedLog('GatewayApi');
  private readonly single: SinglePush;
  private quietUntil = 0;

  constructor(
    node: LinkNode,
    private readonly current: CurrentClient | undefined,
  ) {
    this.gates = createCaller(node, sessionContract);
    this.single = new SinglePush(node);
  }

  /**
   * Sends to one client or several. An id that is unknown or closed is skipped; with `confirm`, one id resolves with
   * whether it was there, a list with the count.
   */
  sendToClient<T extends TopicOf<E>, O extends Confirm>(
    clientId: ClientId,
    topic: T,
    body: E[T],
    options: O,
  ): Promise<Answer<boolean, O>>;
  sendToClient<T extends TopicOf<E>, O extends Confirm>(
    clientIds: readonly ClientId[],
    topic: T,
    body: E[T],
    options: O,
  ): Promise<Delivery<O>>;
  sendToClient<T extends TopicOf<E>>(
    clientIds: ClientId | readonly ClientId[],
    topic: T,
    ...args: PushArgs<E[T], [options?: SendOptions]>
  ): Promise<void>;
  sendToClient(
    clientId: ClientId | readonly ClientId[],
    topic: string,
    body?: unknown,
    options?: SendOptions,
  ): Promise<unknown> {
    if (typeof clientId === 'string' && options === undefined) return this.sendToOne(clientId, topic, body);
    const message = () => ({
      clientIds: without(idList(clientId), options?.exclude),
      ...encodeMessage(topic, body),
    });
    return this.push('send', options, message, typeof clientId === 'string' ? isDelivered : asDelivery);
  }

  /**
   * Sends to the client whose frame is being handled.
   * @throws {GateError} `NO_CURRENT_CLIENT` outside of a handler.
   */
  sendToCurrentClient<T extends TopicOf<E>, O extends Confirm>(
    topic: T,
    body: E[T],
    options: O,
  ): Promise<Answer<boolean, O>>;
  sendToCurrentClient<T extends TopicOf<E>>(topic: T, ...args: PushArgs<E[T], [options?: SendOptions]>): Promise<void>;
  sendToCurrentClient(topic: string, body?: unknown, options?: SendOptions): Promise<unknown> {
    const message = () => ({
      clientIds: without([this.currentClientId], options?.exclude),
      ...encodeMessage(topic, body),
    });
    return this.push('send', options, message, isDelivered);
  }

  /**
   * Sends to every client, or to those of `clientIds` (an empty list is nobody), without those of `excludeIds` and of the
   * option `exclude`.
   */
  sendToAll<T extends TopicOf<E>, O extends Confirm>(
    topic: T,
    body: E[T],
    clientIds: readonly ClientId[] | undefined,
    excludeIds: readonly ClientId[] | undefined,
    options: O,
  ): Promise<Delivery<O>>;
  sendToAll<T extends TopicOf<E>>(
    topic: T,
    ...args: PushArgs<E[T], [clientIds?: readonly ClientId[], excludeIds?: readonly ClientId[], options?: SendOptions]>
  ): Promise<void>;
  sendToAll(
    topic: string,
    body?: unknown,
    clientIds?: readonly ClientId[],
    excludeIds?: readonly ClientId[],
    options?: SendOptions,
  ): Promise<unknown> {
    if (clientIds !== undefined) {
      // Only the gates that own them have to hear of it.
      return this.push('send', options, () => ({
        clientIds: without(idList(clientIds), excluded(excludeIds, options)),
        ...encodeMessage(topic, body),
      }));
    }
    return this.push('broadcast', options, () => ({
      ...encodeMessage(topic, body),
      except: excluded(excludeIds, options),
    }));
  }

  /** Sends to every client of each uid, to each client once. */
  sendToUid<T extends TopicOf<E>, O extends Confirm>(
    uids: string | readonly string[],
    topic: T,
    body: E[T],
    options: O,
  ): Promise<Delivery<O>>;
  sendToUid<T extends TopicOf<E>>(
    uids: string | readonly string[],
    topic: T,
    ...args: PushArgs<E[T], [options?: SendOptions]>
  ): Promise<void>;
  sendToUid(uids: string | readonly string[], topic: string, body?: unknown, options?: SendOptions): Promise<unknown> {
    return this.push('sendToUid', options, () => ({
      uids: nameList('uid', uids),
      ...encodeMessage(topic, body),
      except: excluded(undefined, options),
    }));
  }

  /**
   * Sends to every member of the groups, to each client once however many of them it is in, without `excludeIds` and those
   * of the option `exclude`.
   */
  sendToGroup<T extends TopicOf<E>, O extends Confirm>(
    groups: string | readonly string[],
    topic: T,
    body: E[T],
    excludeIds: readonly ClientId[] | undefined,
    options: O,
  ): Promise<Delivery<O>>;
  sendToGroup<T extends TopicOf<E>>(
    groups: string | readonly string[],
    topic: T,
    ...args: PushArgs<E[T], [excludeIds?: readonly ClientId[], options?: SendOptions]>
  ): Promise<void>;
  sendToGroup(
    groups: string | readonly string[],
    topic: string,
    body?: unknown,
    excludeIds?: readonly ClientId[],
    options?: SendOptions,
  ): Promise<unknown> {
    return this.push('sendToGroup', options, () => ({
      groups: nameList('group', groups),
      ...encodeMessage(topic, body),
      except: excluded(excludeIds, options),
    }));
  }

  /** @throws {GateError} `NO_CURRENT_CLIENT` outside of a handler. */
  protected get currentClientId(): ClientId {
    if (!this.current) throw new GateError('NO_CURRENT_CLIENT');
    return this.current.context.clientId;
  }

  private sendToOne(clientId: ClientId, topic: string, body: unknown): Promise<void> {
    try {
      assertClientId(clientId);
      const message = encodeMessage(topic, body);
      const gate = this.single.send(clientId, message.topic, message.body);
      const sent = gate ? gate.whenDrained() : this.gates.send.cast({ clientIds: [clientId], ...message });
      return sent ? this.watched(sent) : SENT;
    } catch (error) {
      return this.watched(Promise.reject(error));
    }
  }

  /** Sends a push, or asks for its outcome. */
  private push<N extends PushName>(
    name: N,
    options: SendOptions | undefined,
    args: () => Parameters<Caller<SessionContract>[N]['cast']>[0],
    shape: (delivered: number) => boolean | Delivery = asDelivery,
  ): Promise<unknown> {
    let sent: Promise<unknown> | undefined;
    try {
      assertWait(options);
      if (options?.confirm) {
        sent = this.confirmed(name, args(), options, shape);
      } else {
        const cast = this.gates[name].cast as (args: unknown) => Promise<void> | undefined;
        sent = cast(args());
        if (!sent) return SENT;
      }
    } catch (error) {
      sent = Promise.reject(error);
    }
    return this.watched(sent);
  }

  private async confirmed(
    name: PushName,
    args: unknown,
    options: SendOptions,
    shape: (delivered: number) => boolean | Delivery,
  ): Promise<unknown> {
    const gather = this.gates[name].gather as Caller<SessionContract>['send']['gather'];
    const { result: delivered, missing } = await gather(args as never, options);
    const result = shape(delivered);
    if (options.partial === 'allow') return typeof result === 'boolean' ? { result, missing } : { ...result, missing };
    if (missing.length > 0) throw new GateError('PARTIAL_RESULT', undefined, { result, missing });
    return result;
  }

  /** What is done to clients, and fails while nobody waits for it, must not end the process: the log tells of it. */
  protected watched<T>(outcome: Promise<T>): Promise<T> {
    outcome.catch((error: unknown) => this.noteFailure(error));
    return outcome;
  }

  private noteFailure(error: unknown): void {
    // That a client has gone meanwhile is nothing unusual.
    if ((error as { code?: unknown }).code === 'SESSION_NOT_FOUND') return;
    const now = performance.now();
    if (now < this.quietUntil) return;
    this.quietUntil = now + LOG_EVERY_MS;
    this.log.warn(`A push or change has failed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function isDelivered(delivered: number): boolean {
  return delivered > 0;
}

function asDelivery(delivered: number): Delivery {
  return { delivered };
}
