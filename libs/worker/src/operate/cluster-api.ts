import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import {
  type ClientDetail,
  type ClientId,
  type ClientRow,
  LinkNode,
  type NodeReport,
  type TapAnswer,
} from '@nestgate/link';
import { type Caller, createCaller, operateContract } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { ask, orNull, pageRequest, type PagesOptions } from '../gateway/queries.js';
import { assertClientId, assertWait } from '../gateway/arguments.js';
import type { Answer, NoOptions, Page, PageOptions, QueryOptions, WaitOptions } from '../gateway/options.js';

const DEFAULT_PER_SECOND = 500;
const MAX_PER_SECOND = 100_000;
const DEFAULT_MOVES_PER_SECOND = 100;
const MAX_MOVES = 10_000_000;
/** Longest cursor or topic of a tap in characters. */
const MAX_TAP_TEXT = 256;

/** How a gate is drained. */
export interface DrainOptions extends WaitOptions {
  /** Clients that are closed in a second. @defaultValue 500 */
  readonly perSecond?: number | undefined;
}

/** How clients are asked to move. */
export interface MoveOptions extends WaitOptions {
  /** Clients that a gate asks in a second. @defaultValue 100 */
  readonly perSecond?: number | undefined;
}

/** How a session is tapped. */
export interface TapOptions extends WaitOptions {
  /** The `cursor` of the previous answer. Without one, a new tap begins. */
  readonly cursor?: string | undefined;
  /** Only frames of this topic, or of this module. Of a new tap. */
  readonly topic?: string | undefined;
}

/** What sessions have sent and received on a topic since the previous answer. */
export interface TopicTapAnswer extends TapAnswer {
  /** Sessions that are tapped, at most 1,000 of each gate, and sessions that there are. */
  readonly tapped: number;
  readonly clients: number;
  /** Gates that have not answered. */
  readonly missing: readonly string[];
}

/**
 * What operators ask of a cluster: its nodes, and its sessions in detail. Each question goes to all gates once, or to the gate of one client;
 * nodes do nothing for it while nobody asks. Rejects as `GatewayApi` does.
 */
@Injectable()
export class ClusterApi {
  private readonly gates: Caller<typeof operateContract>;

  constructor(node: LinkNode) {
    this.gates = createCaller(node, operateContract);
  }

  /** The nodes of the cluster, by role and id: gates, and the nodes that are connected to one. */
  async getNodes<O extends QueryOptions | undefined = NoOptions>(
    options?: O,
  ): Promise<Answer<readonly NodeReport[], O>> {
    return ask(this.gates.inspect, undefined, options, reports => {
      const byId = new Map(reports.map(report => [report.id, report]));
      return [...byId.values()].sort((one, other) => compare(one.role + one.id, other.role + other.id));
    });
  }

  /** A page of the sessions, all or those in `groups`. */
  async getClientPage<O extends (PagesOptions & PageOptions) | undefined = NoOptions>(
    options?: O,
  ): Promise<Answer<Page<readonly ClientRow[]>, O>> {
    const request = pageRequest(options);
    return ask(this.gates.clientPage, request, options, rows => {
      const items = [...rows].sort((one, other) => compare(one.clientId, other.clientId)).slice(0, request.limit);
      return { items, cursor: items.length < request.limit ? undefined : items.at(-1)?.clientId };
    });
  }

  /** A page of the groups that have members, each with its number of clients. */
  async getGroupCountPage<O extends PageOptions | undefined = NoOptions>(
    options?: O,
  ): Promise<Answer<Page<Record<string, number>>, O>> {
    const request = pageRequest(options);
    return ask(this.gates.groupCounts, request, options, counts => countPage(counts, request.limit));
  }

  /** A page of the uids that are online, each with its number of clients. */
  async getUidCountPage<O extends PageOptions | undefined = NoOptions>(
    options?: O,
  ): Promise<Answer<Page<Record<string, number>>, O>> {
    const request = pageRequest(options);
    return ask(this.gates.uidCounts, request, options, counts => countPage(counts, request.limit));
  }

  /** One session in detail; `null` when the client is not online. */
  async getClient(clientId: ClientId, options?: WaitOptions): Promise<ClientDetail | null> {
    assertClientId(clientId);
    assertWait(options);
    return orNull(this.gates.detail.call({ clientId }, options));
  }

  /**
   * What a session sends and receives, for 60 s from the first call on: at most 50 frames per second, with bodies that the gate's
   * `TapRedactor` has gone over. Call it again with the `cursor` of each answer, within 15 s. The gate logs who taps whom.
   */
  async tapClient(clientId: ClientId, options?: TapOptions): Promise<TapAnswer> {
    const { cursor, topic } = options ?? {};
    assertClientId(clientId);
    assertTapText('cursor', cursor);
    assertTapText('topic', topic);
    assertWait(options);
    return this.gates.tap.call({ clientId, cursor, topic }, options);
  }

  /**
   * What sessions of all gates send and receive on a topic, or in a module, for 60 s from the first call on: at most 50 frames per second and gate,
   * of at most 1,000 sessions of each gate, with bodies that the `TapRedactor` has gone over. Each frame has its `clientId`. Call it
   * again with the `cursor` of the answer, within 15 s. A gate has two such taps at most (`LIMIT_EXCEEDED`), and logs who taps.
   */
  async tapTopic(topic: string, options?: Omit<TapOptions, 'topic'>): Promise<TopicTapAnswer> {
    const { cursor } = options ?? {};
    if (topic === undefined) throw new GateError('BAD_ARGUMENT', 'topic must be a topic or a module');
    assertTapText('topic', topic);
    assertTapText('cursor', cursor);
    assertWait(options);
    const id = cursor ?? randomUUID();
    const { result, missing } = await this.gates.tapTopic.gather({ id, topic, isNew: cursor === undefined }, options);
    const sumOf = (key: 'skipped' | 'tapped' | 'clients'): number => result.reduce((sum, each) => sum + each[key], 0);
    return {
      frames: result.flatMap(each => each.frames).sort((one, other) => one.at - other.at),
      cursor: id,
      skipped: sumOf('skipped'),
      endsInMs: Math.max(0, ...result.map(each => each.endsInMs)),
      isOver: result.every(each => each.isOver),
      tapped: sumOf('tapped'),
      clients: sumOf('clients'),
      missing,
    };
  }

  /**
   * Has a gate refuse new clients from now on, and close those that it has with 1012 by and by: they reconnect to other gates. It stays in
   * that state until its process ends. Resolves with whether there is such a gate; `getNodes` shows how many clients are left.
   */
  async drainGate(gate: string, options?: DrainOptions): Promise<boolean> {
    const { perSecond = DEFAULT_PER_SECOND } = options ?? {};
    assertGate(gate);
    assertUpTo(MAX_PER_SECOND, 'perSecond', perSecond);
    assertWait(options);
    return this.gates.drain.call({ gate, perSecond }, options);
  }

  /**
   * Has a gate ask so many of its resumable clients to go on on another gate (`$gate/move`). Each opens a second connection to the address that
   * it knows, and its session goes on there: no message and no request is lost. The load balancer decides which gate it reaches; a client
   * that reaches the same gate stays. Resolves with how many will be asked, 0 when there is no other gate, or `null` when there is no
   * such gate. A second call takes the place of the first.
   *
   * ```ts
   * await cluster.moveClients('gate-1', 500, { perSecond: 50 });
   * ```
   */
  async moveClients(gate: string, clients: number, options?: MoveOptions): Promise<number | null> {
    const { perSecond = DEFAULT_MOVES_PER_SECOND } = options ?? {};
    assertGate(gate);
    assertUpTo(MAX_MOVES, 'clients', clients);
    assertUpTo(MAX_PER_SECOND, 'perSecond', perSecond);
    assertWait(options);
    const [asked = null] = await this.gates.move.call({ gate, clients, perSecond }, options);
    return asked;
  }

  /**
   * Evens out the gates: each one that has more clients than the average asks the rest to move, see {@link moveClients}. For gates that have
   * joined, or started again. Resolves with how many clients each of these gates will ask, by its id.
   */
  async rebalanceGates(options?: MoveOptions): Promise<Record<string, number>> {
    const { perSecond = DEFAULT_MOVES_PER_SECOND } = options ?? {};
    assertUpTo(MAX_PER_SECOND, 'perSecond', perSecond);
    const nodes = await this.getNodes(options && { deadlineMs: options.deadlineMs });
    const gates = nodes.flatMap(({ id, gate, isDraining }) =>
      gate && !isDraining ? [{ id, clients: gate.clients }] : [],
    );
    const average = Math.ceil(gates.reduce((sum, { clients }) => sum + clients, 0) / gates.length);
    const full = gates.filter(({ clients }) => clients > average);
    const asked = await Promise.all(
      full.map(async ({ id, clients }) => [id, (await this.moveClients(id, clients - average, options)) ?? 0] as const),
    );
    return Object.fromEntries(asked);
  }
}

function assertGate(gate: unknown): void {
  if (typeof gate !== 'string' || gate === '') throw new GateError('BAD_ARGUMENT', 'gate must be the id of a node');
}

function assertUpTo(most: number, name: string, value: unknown): void {
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most) return;
  throw new GateError('BAD_ARGUMENT', `${name} must be an integer from 1 to ${most}`);
}

function assertTapText(name: string, value: unknown): void {
  if (value === undefined || (typeof value === 'string' && value !== '' && value.length <= MAX_TAP_TEXT)) return;
  throw new GateError('BAD_ARGUMENT', `${name} must be a text of at most ${MAX_TAP_TEXT} characters`);
}

/** The page that begins all gates' pages together: a name that is in it is in the page of each gate that has it. */
function countPage(counts: Record<string, number>, limit: number): Page<Record<string, number>> {
  const entries = Object.entries(counts).sort(([one], [other]) => compare(one, other));
  const items = entries.slice(0, limit);
  return { items: Object.fromEntries(items), cursor: items.length < limit ? undefined : items.at(-1)?.[0] };
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
