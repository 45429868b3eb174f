import type { ClientId, LinkNode } from '@nestgate/link';
import { askContract, type AskContract, type Caller, createCaller, present } from '@nestgate/link/internal';
import { type AnyEntry, type Body, BodyKind, type BodyOf, GateError, type TypeOf } from '@nestgate/protocol';
import { checkedSchema } from '../contract/contract-handler.js';
import { type IssueDetail, issueText, validated } from '../contract/schema-issues.js';
import { assertName, encodeMessage } from '../message/message.js';
import type { CurrentClient } from '../topics/run/current-client.js';
import { assertClientId, assertWait } from './arguments.js';
import { GatewayAuth } from './gateway-auth.js';
import type { AnyEvents, EventMap } from './options.js';

/** Options of a call to a client. */
export interface CallClientOptions {
  /** Time limit for the answer, in milliseconds. @defaultValue 5000 */
  readonly timeoutMs?: number | undefined;
}

/** Options of a call to the clients of a uid. */
export interface CallUidOptions extends CallClientOptions {
  /**
   * `'first'`: resolves with the first answer, and rejects when no client gives one. `'all'`: resolves with what each client has answered.
   * @defaultValue 'first'
   */
  readonly wait?: 'first' | 'all' | undefined;
}

/** What one client of a uid has answered. */
export type ClientAnswer<T> =
  | { readonly clientId: ClientId; readonly body: T; readonly error?: undefined }
  | { readonly clientId: ClientId; readonly error: GateError };

/** A topic, or an entry of a contract that is a call. */
type Callable = string | AnyEntry<'call'>;
type All = CallUidOptions & { readonly wait: 'all' };

/** The calls of {@link GatewayApi}: questions that clients answer. */
export abstract class GatewayCalls<E extends EventMap = AnyEvents> extends GatewayAuth<E> {
  private readonly asks: Caller<AskContract>;

  constructor(node: LinkNode, current: CurrentClient | undefined) {
    super(node, current);
    this.asks = createCaller(node, askContract);
  }

  /**
   * Calls a client, wherever it is connected, and resolves with what its handler for the topic has answered (`gate.handle(topic, …)`).
   * With an entry of a contract the body and the answer have its types, and are validated by its schemas.
   *
   * ```ts
   * const isSure = await gateway.call(clientId, chat.confirm, { question: 'Delete the room?' }, { timeoutMs: 30_000 });
   * ```
   *
   * @throws {GateError} the code with which the client has answered; `NO_HANDLER` when it has no handler or its codec has no calls,
   * `SESSION_NOT_FOUND` when it is gone, `TIMEOUT`, `LIMIT_EXCEEDED` when it has not answered 32 calls, `BAD_REQUEST` for an answer that
   * does not fit the entry, `BAD_ARGUMENT` for a body that does not.
   */
  call<C extends AnyEntry<'call'>>(
    clientId: ClientId,
    entry: C,
    body: BodyOf<C>,
    options?: CallClientOptions,
  ): Promise<TypeOf<C, 'answered'>>;
  call<T = unknown>(clientId: ClientId, topic: string, body?: unknown, options?: CallClientOptions): Promise<T>;
  call(clientId: ClientId, topic: Callable, body?: unknown, options?: CallClientOptions): Promise<unknown> {
    return this.watched(this.ask(clientId, topic, body, options));
  }

  /**
   * Calls all clients of a uid at once, and resolves with the first answer, or, with `wait: 'all'`, with those of all clients.
   * @throws {GateError} `SESSION_NOT_FOUND` when the uid has no client; without `wait: 'all'` also the error of {@link call}, when all
   * clients have failed.
   */
  callUid<C extends AnyEntry<'call'>>(
    uid: string,
    entry: C,
    body: BodyOf<C>,
    options: All,
  ): Promise<readonly ClientAnswer<TypeOf<C, 'answered'>>[]>;
  callUid<C extends AnyEntry<'call'>>(
    uid: string,
    entry: C,
    body: BodyOf<C>,
    options?: CallClientOptions,
  ): Promise<TypeOf<C, 'answered'>>;
  callUid<T = unknown>(uid: string, topic: string, body: unknown, options: All): Promise<readonly ClientAnswer<T>[]>;
  callUid<T = unknown>(uid: string, topic: string, body?: unknown, options?: CallClientOptions): Promise<T>;
  callUid(uid: string, topic: Callable, body?: unknown, options?: CallUidOptions): Promise<unknown> {
    return this.watched(this.askUid(uid, topic, body, options));
  }

  private async ask(
    clientId: ClientId,
    topic: Callable,
    body: unknown,
    options: CallClientOptions | undefined,
  ): Promise<unknown> {
    assertClientId(clientId);
    const deadlineMs = options?.timeoutMs;
    assertWait({ deadlineMs });
    const message = await messageOf(topic, body);
    const answer = await this.asks.ask.call({ clientId, ...message }, { deadlineMs });
    const value = valueOf(answer);
    const schema = typeof topic === 'string' ? undefined : checkedSchema(topic.reply);
    return schema ? validated(schema, value, unfit(message.topic)) : value;
  }

  private async askUid(
    uid: string,
    topic: Callable,
    body: unknown,
    options: CallUidOptions | undefined,
  ): Promise<unknown> {
    assertName('uid', uid);
    assertWait({ deadlineMs: options?.timeoutMs });
    const { wait = 'first' } = options ?? {};
    if (wait !== 'first' && wait !== 'all') throw new GateError('BAD_ARGUMENT', "wait must be 'first' or 'all'");
    const found = await this.gates.clientIdsOfUids.call({ uids: [uid] });
    const clientIds = Object.hasOwn(found, uid) ? present(found[uid]) : [];
    if (clientIds.length === 0) throw new GateError('SESSION_NOT_FOUND', 'The uid has no client');
    const asked = clientIds.map(clientId => this.ask(clientId, topic, body, options));
    if (wait === 'first') {
      return Promise.any(asked).catch((error: AggregateError) => {
        throw error.errors[0];
      });
    }
    const answers = await Promise.allSettled(asked);
    return answers.map((answer, at): ClientAnswer<unknown> => {
      const clientId = present(clientIds[at]);
      return answer.status === 'fulfilled'
        ? { clientId, body: answer.value }
        : { clientId, error: answer.reason as GateError };
    });
  }
}

/** What is sent, checked. */
async function messageOf(topic: Callable, body: unknown): Promise<{ readonly topic: string; readonly body: Body }> {
  if (typeof topic === 'string') return encodeMessage(topic, body);
  if ((topic as Partial<AnyEntry> | undefined)?.kind !== 'call')
    throw new GateError('BAD_ARGUMENT', 'Only calls of a contract can be called');
  const schema = checkedSchema(topic.body);
  const refuse = (issues: readonly IssueDetail[]): GateError =>
    new GateError('BAD_ARGUMENT', `The call '${topic.topic}' does not fit its contract: ${issueText(issues)}`);
  if (schema) await validated(schema, body, refuse);
  return encodeMessage(topic.topic, body);
}

function unfit(topic: string): (issues: readonly IssueDetail[]) => GateError {
  return issues =>
    new GateError('BAD_REQUEST', `The answer to '${topic}' does not fit its contract: ${issueText(issues)}`, issues);
}

/** An answer, whose bytes are JSON on every codec. */
function valueOf({ kind, bytes }: Body): unknown {
  if (kind === BodyKind.none || bytes.length === 0) return undefined;
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()) as unknown;
  } catch {
    throw new GateError('BAD_REQUEST', 'The answer of the client is not JSON');
  }
}
