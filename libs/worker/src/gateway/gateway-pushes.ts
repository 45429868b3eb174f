import type { ClientId, LinkNode } from '@nestgate/link';
import {
  type Caller,
  codeOf,
  createCaller,
  DEFAULT_CALL_DEADLINE_MS,
  kindOf,
  receiptContract,
  type ReceiptContract,
  sessionContract,
  type SessionContract,
} from '@nestgate/link/internal';
import { GateError, logText } from '@nestgate/protocol';
import type { CurrentClient } from '../topics/run/current-client.js';
import { BoundedLog } from '../log/bounded-log.js';
import { assertClientId, assertReceiptWait, assertWait } from './arguments.js';
import { RoutedPush, SinglePush } from './single-push.js';
import {
  assertLast,
  assertOptionsAt,
  BROADCAST_OPTIONS,
  CURRENT_AT,
  clientIdsAt,
  excludedAt,
  isOptions,
  messageAt,
  namesAt,
  without,
} from './push-arguments.js';
import type {
  AnyEvents,
  BroadcastOptions,
  Delivery,
  EventMap,
  NoOptions,
  PushArgs,
  PushOutcome,
  SendOptions,
  SingleOutcome,
  TopicOf,
} from './options.js';

/** What most pushes resolve with. */
const SENT: Promise<void> = Promise.resolve();
/** At most one log line in this time, in milliseconds, says that something has failed. */
const LOG_EVERY_MS = 10_000;

/** How much longer than their clients the gates have to answer, in milliseconds: they answer when the time of the clients is over. */
const RECEIPT_MS = 1_000;

/** The operations that can be sent off, and asked for their outcome. */
type PushName = 'send' | 'broadcast' | 'sendToUid' | 'sendToGroup';

/**
 * The pushes of {@link GatewayApi}: `sendToX(target…, topic, body, options?)`. A body that may be `undefined` may be left out when there
 * are no options.
 */
export abstract class GatewayPushes<E extends EventMap = AnyEvents> {
  protected readonly gates: Caller<SessionContract>;
  private readonly receipts: Caller<ReceiptContract>;
  private readonly log = new BoundedLog('GatewayApi');
  private single: SinglePush;
  private quietUntil = 0;

  constructor(
    node: LinkNode,
    private readonly current: CurrentClient | undefined,
  ) {
    this.gates = createCaller(node, sessionContract);
    this.receipts = createCaller(node, receiptContract);
    this.single = new SinglePush(node);
    // Until a session has moved, nothing is looked up for a push.
    node.holders.onFirst(() => (this.single = new RoutedPush(node)));
  }

  /**
   * Sends to one client or several. An id that is unknown or closed is skipped; with `confirm: true`, one id resolves with
   * whether it was there, a list with the count.
   */
  sendToClient<T extends TopicOf<E>, O extends SendOptions = NoOptions>(
    clientId: ClientId,
    topic: T,
    body: E[T],
    options: O | undefined,
  ): Promise<SingleOutcome<O>>;
  sendToClient<T extends TopicOf<E>, O extends SendOptions = NoOptions>(
    clientIds: readonly ClientId[],
    topic: T,
    body: E[T],
    options: O | undefined,
  ): Promise<PushOutcome<O>>;
  sendToClient<T extends TopicOf<E>, O extends SendOptions = NoOptions>(
    clientIds: ClientId | readonly ClientId[],
    topic: T,
    body: E[T],
    options: O | undefined,
  ): Promise<SingleOutcome<O> | PushOutcome<O>>;
  sendToClient<T extends TopicOf<E>>(
    clientIds: ClientId | readonly ClientId[],
    topic: T,
    ...args: PushArgs<E[T], []>
  ): Promise<void>;
  sendToClient(
    clientId: ClientId | readonly ClientId[],
    topic: string,
    body?: unknown,
    options?: SendOptions,
  ): Promise<unknown> {
    if (typeof clientId === 'string' && options === undefined) return this.sendToOne(clientId, topic, body);
    const message = () => {
      assertOptionsAt('sendToClient: argument 4 (options)', options);
      const ids = clientIdsAt('sendToClient: argument 1 (clientIds)', clientId);
      return {
        clientIds: without(ids, excludedAt('', undefined, options)),
        ...messageAt('sendToClient: argument 2 (topic)', topic, body),
      };
    };
    return this.push('send', options, message, typeof clientId === 'string' ? isDelivered : asDelivery);
  }

  /**
   * Sends to the client whose frame is being handled.
   * @throws {GateError} `NO_CURRENT_CLIENT` outside of a handler.
   */
  sendToCurrentClient<T extends TopicOf<E>, O extends SendOptions = NoOptions>(
    topic: T,
    body: E[T],
    options: O | undefined,
  ): Promise<SingleOutcome<O>>;
  sendToCurrentClient<T extends TopicOf<E>>(topic: T, ...args: PushArgs<E[T], []>): Promise<void>;
  sendToCurrentClient(topic: string, body?: unknown, options?: SendOptions): Promise<unknown> {
    const message = () => {
      assertOptionsAt(CURRENT_AT.options, options);
      return {
        clientIds: without([this.currentClientId], excludedAt('', undefined, options)),
        ...messageAt(CURRENT_AT.topic, topic, body),
      };
    };
    return this.push('send', options, message, isDelivered);
  }

  /**
   * Sends to every client, or to those of the option `clientIds` (an empty list is nobody), without those of the option `exclude`.
   *
   * The form with the lists of ids as arguments is that of GatewayWorker's `sendToAll`; both mean the same.
   */
  sendToAll<T extends TopicOf<E>, O extends BroadcastOptions = NoOptions>(
    topic: T,
    body: E[T],
    options: O | undefined,
  ): Promise<PushOutcome<O>>;
  sendToAll<T extends TopicOf<E>>(topic: T, ...args: PushArgs<E[T], []>): Promise<void>;
  sendToAll<T extends TopicOf<E>, O extends BroadcastOptions = NoOptions>(
    topic: T,
    body: E[T],
    clientIds: readonly ClientId[] | undefined,
    excludeIds?: readonly ClientId[],
    options?: O,
  ): Promise<PushOutcome<O>>;
  sendToAll(
    topic: string,
    body?: unknown,
    third?: readonly ClientId[] | BroadcastOptions,
    excludeIds?: readonly ClientId[],
    fifth?: BroadcastOptions,
  ): Promise<unknown> {
    const isLast = isOptions(third);
    const options = isLast ? third : fifth;
    const ids = isLast ? undefined : third;
    const check = (): void => {
      if (isLast) assertLast('sendToAll', 4, excludeIds, fifth);
      assertOptionsAt(
        isLast ? 'sendToAll: argument 3 (options, or clientIds)' : 'sendToAll: argument 5 (options)',
        options,
        BROADCAST_OPTIONS,
      );
    };
    const excluded = () => excludedAt('sendToAll: argument 4 (excludeIds)', isLast ? undefined : excludeIds, options);
    if (ids !== undefined || (typeof options === 'object' && options?.clientIds !== undefined)) {
      // Only the gates that own them have to hear of it.
      return this.push('send', options, () => {
        check();
        const byOption = options?.clientIds;
        if (ids !== undefined && byOption !== undefined) {
          throw new GateError(
            'BAD_ARGUMENT',
            'sendToAll: argument 3 (clientIds) and the option clientIds say the same',
          );
        }
        const chosen =
          ids === undefined
            ? clientIdsAt('The option clientIds', byOption as readonly ClientId[])
            : clientIdsAt('sendToAll: argument 3 (options, or clientIds)', ids);
        return {
          clientIds: without(chosen, excluded()),
          ...messageAt('sendToAll: argument 1 (topic)', topic, body),
        };
      });
    }
    return this.push('broadcast', options, () => {
      check();
      return { ...messageAt('sendToAll: argument 1 (topic)', topic, body), except: excluded() };
    });
  }

  /** Sends to every client of each uid, to each client once, without those of the option `exclude`. */
  sendToUid<T extends TopicOf<E>, O extends SendOptions = NoOptions>(
    uids: string | readonly string[],
    topic: T,
    body: E[T],
    options: O | undefined,
  ): Promise<PushOutcome<O>>;
  sendToUid<T extends TopicOf<E>>(
    uids: string | readonly string[],
    topic: T,
    ...args: PushArgs<E[T], []>
  ): Promise<void>;
  sendToUid(uids: string | readonly string[], topic: string, body?: unknown, options?: SendOptions): Promise<unknown> {
    return this.push('sendToUid', options, () => {
      assertOptionsAt('sendToUid: argument 4 (options)', options);
      return {
        uids: namesAt('sendToUid: argument 1 (uids)', 'uid', uids),
        ...messageAt('sendToUid: argument 2 (topic)', topic, body),
        except: excludedAt('', undefined, options),
      };
    });
  }

  /**
   * Sends to every member of the groups, to each client once however many of them it is in, without those of the option `exclude`.
   *
   * The form with `excludeIds` as an argument is that of GatewayWorker's `sendToGroup`; both mean the same.
   */
  sendToGroup<T extends TopicOf<E>, O extends SendOptions = NoOptions>(
    groups: string | readonly string[],
    topic: T,
    body: E[T],
    options: O | undefined,
  ): Promise<PushOutcome<O>>;
  sendToGroup<T extends TopicOf<E>>(
    groups: string | readonly string[],
    topic: T,
    ...args: PushArgs<E[T], []>
  ): Promise<void>;
  sendToGroup<T extends TopicOf<E>, O extends SendOptions = NoOptions>(
    groups: string | readonly string[],
    topic: T,
    body: E[T],
    excludeIds: readonly ClientId[] | undefined,
    options?: O,
  ): Promise<PushOutcome<O>>;
  sendToGroup(
    groups: string | readonly string[],
    topic: string,
    body?: unknown,
    fourth?: readonly ClientId[] | SendOptions,
    fifth?: SendOptions,
  ): Promise<unknown> {
    const isLast = isOptions(fourth);
    const options = isLast ? fourth : fifth;
    const excludeIds = isLast ? undefined : fourth;
    return this.push('sendToGroup', options, () => {
      if (isLast) assertLast('sendToGroup', 5, fifth);
      assertOptionsAt(
        isLast ? 'sendToGroup: argument 4 (options, or excludeIds)' : 'sendToGroup: argument 5 (options)',
        options,
      );
      return {
        groups: namesAt('sendToGroup: argument 1 (groups)', 'group', groups),
        ...messageAt('sendToGroup: argument 2 (topic)', topic, body),
        except: excludedAt('sendToGroup: argument 4 (options, or excludeIds)', excludeIds, options),
      };
    });
  }

  /** @throws {GateError} `NO_CURRENT_CLIENT` outside of a handler. */
  protected get currentClientId(): ClientId {
    if (!this.current) throw new GateError('NO_CURRENT_CLIENT');
    return this.current.context.clientId;
  }

  private sendToOne(clientId: ClientId, topic: string, body: unknown): Promise<void> {
    try {
      assertClientId(clientId);
      const message = messageAt('sendToClient: argument 2 (topic)', topic, body);
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
      if (options?.confirm === 'received') {
        sent = this.received(name, args(), options);
      } else if (isConfirmed(options?.confirm)) {
        sent = this.confirmed(name, args(), options ?? {}, shape);
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

  private async received(name: PushName, args: object, options: SendOptions): Promise<unknown> {
    const { deadlineMs: waitMs = DEFAULT_CALL_DEADLINE_MS } = options;
    assertReceiptWait(waitMs);
    const gather = this.receipts[name].gather as Caller<ReceiptContract>['send']['gather'];
    const { result, missing } = await gather({ ...args, waitMs } as never, { deadlineMs: waitMs + RECEIPT_MS });
    if (options.partial === 'allow') return { ...result, missing };
    if (missing.length > 0) throw new GateError('PARTIAL_RESULT', undefined, { result, missing });
    return result;
  }

  /** What is done to clients, and fails while nobody waits for it, must not end the process; it is logged. */
  protected watched<T>(outcome: Promise<T>): Promise<T> {
    outcome.catch((error: unknown) => this.noteFailure(error));
    return outcome;
  }

  private noteFailure(error: unknown): void {
    // That a client has gone meanwhile is nothing unusual.
    if (codeOf(error) === 'SESSION_NOT_FOUND') return;
    const now = performance.now();
    if (now < this.quietUntil) return;
    this.quietUntil = now + LOG_EVERY_MS;
    this.log.warn(`A push or change has failed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** @throws {GateError} `BAD_ARGUMENT` for what `confirm` cannot be: the push would not be waited for as its sender thinks. */
function isConfirmed(confirm: unknown): boolean {
  if (confirm === undefined || confirm === null || typeof confirm === 'boolean') return confirm === true;
  throw new GateError(
    'BAD_ARGUMENT',
    `confirm must be true, false or 'received', but ${typeof confirm === 'string' ? logText(confirm) : kindOf(confirm)} was given`,
  );
}

function isDelivered(delivered: number): boolean {
  return delivered > 0;
}

function asDelivery(delivered: number): Delivery {
  return { delivered };
}
