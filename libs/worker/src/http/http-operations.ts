import type { GatewayApi } from '../gateway/gateway-api.js';
import type { ClusterApi } from '../operate/cluster-api.js';

/** What a key of the HTTP API may do: send messages, ask, or change sessions. */
export type HttpScope = 'push' | 'query' | 'manage';

/** All scopes. */
export const HTTP_SCOPES: readonly HttpScope[] = Object.freeze(['push', 'query', 'manage']);

/** The methods of a class that resolve. */
type MethodOf<A> = {
  [K in keyof A]: A[K] extends (...args: never[]) => Promise<unknown> ? K & string : never;
}[keyof A];

/** The name of an operation of the HTTP API: a method of `GatewayApi` or `ClusterApi`, but for those about the client whose frame is handled. */
export type HttpOperationName = Exclude<MethodOf<GatewayApi>, `${string}CurrentClient`> | MethodOf<ClusterApi>;

/** A JSON schema, as the OpenAPI document has it. */
export type JsonSchema = Readonly<Record<string, unknown>>;

const NAME: JsonSchema = { type: 'string', minLength: 1, maxLength: 128 };
const ID: JsonSchema = { type: 'string', maxLength: 256 };
const COUNT: JsonSchema = { type: 'integer', minimum: 0 };
const FLAG: JsonSchema = { type: 'boolean' };
const SETTINGS: JsonSchema = { type: 'object', additionalProperties: true };
const MOMENT: JsonSchema = { type: ['number', 'null'], minimum: 0 };
const oneOrMany = (item: JsonSchema): JsonSchema => ({
  anyOf: [item, { type: 'array', items: item, maxItems: 50_000 }],
});
const listOf = (items: JsonSchema): JsonSchema => ({ type: 'array', items });
const byName = (value: JsonSchema): JsonSchema => ({ type: 'object', additionalProperties: value });
const orNull = (schema: JsonSchema): JsonSchema => ({ anyOf: [schema, { type: 'null' }] });

/** Everything that an operation may take, by name: the arguments of the methods, and their options. */
export const HTTP_FIELDS = {
  clientId: { ...ID, description: 'A client id.' },
  clientIds: { ...oneOrMany(ID), description: 'A client id, or a list of them.' },
  uid: { ...NAME, description: 'A uid.' },
  uids: { ...oneOrMany(NAME), description: 'A uid, or a list of them.' },
  groups: { ...oneOrMany(NAME), description: 'A group, or a list of them.' },
  topic: { type: 'string', minLength: 1, description: 'The topic of the message, such as "chat/said".' },
  body: { description: 'The body of the message: any JSON.' },
  settings: { ...SETTINGS, description: 'Settings of the session by key.' },
  moment: { ...MOMENT, description: 'Milliseconds since the epoch; null: never.' },
  issuedAt: { type: 'number', minimum: 0, description: 'When the credentials were issued, in ms since the epoch.' },
  expiresAt: { type: 'number', minimum: 0, description: 'When the credentials expire, in ms since the epoch.' },
  confirm: {
    enum: [true, false, 'received'],
    description: "Wait for the gates, and answer with the number of clients; 'received': wait for the clients.",
  },
  exclude: { ...oneOrMany(ID), description: 'Client ids that are left out.' },
  partial: { enum: ['reject', 'allow'], description: 'Whether an answer may lack gates that are unreachable.' },
  deadlineMs: { type: 'number', exclusiveMinimum: 0, maximum: 60_000, description: 'Time limit of the gates, in ms.' },
  timeoutMs: { type: 'number', exclusiveMinimum: 0, maximum: 60_000, description: 'Time limit of the client, in ms.' },
  deep: { ...FLAG, description: 'Merge objects within the settings too.' },
  forMs: { type: 'number', minimum: 1, description: 'How long older credentials are refused, in ms.' },
  cursor: { ...ID, description: 'The cursor of the previous page, or answer.' },
  gate: { type: 'string', minLength: 1, description: 'The id of a gate.' },
  clients: { type: 'integer', minimum: 1, description: 'How many clients.' },
  perSecond: { type: 'number', minimum: 1, description: 'Clients that are closed, or asked to move, in a second.' },
  limit: { type: 'integer', minimum: 1, maximum: 10_000, description: 'Items per page.' },
} as const satisfies Record<string, JsonSchema>;

/** The name of an argument or option. */
export type HttpField = keyof typeof HTTP_FIELDS;

/** One operation: a method, and how JSON becomes its arguments. */
export interface HttpOperation {
  readonly scope: HttpScope;
  readonly summary: string;
  /** The arguments of the method, in order. */
  readonly args: readonly HttpField[];
  /** Arguments that may be left out. */
  readonly optional?: readonly HttpField[];
  /** The options, which are the last argument of the method. */
  readonly options?: readonly HttpField[];
  /** `delivery`: `{delivered}`, or also `{received}`, when it was confirmed; `nothing`: `{}`; a schema: `{result}`. */
  readonly result: 'delivery' | 'nothing' | JsonSchema;
}

const SEND: readonly HttpField[] = ['confirm', 'exclude', 'partial', 'deadlineMs'];
const ASK: readonly HttpField[] = ['partial', 'deadlineMs'];
const PAGE: readonly HttpField[] = ['cursor', 'limit', ...ASK];
const WAIT: readonly HttpField[] = ['deadlineMs'];

const CALL = {
  scope: 'push',
  optional: ['body'],
  options: ['timeoutMs'],
  result: { description: 'The answer of the client: any JSON.' },
} as const satisfies Partial<HttpOperation>;

function push(summary: string, args: readonly HttpField[], options = SEND): HttpOperation {
  return { scope: 'push', summary, args, optional: ['body'], options, result: 'delivery' };
}

function query(
  summary: string,
  args: readonly HttpField[],
  result: JsonSchema,
  options: readonly HttpField[] = ASK,
): HttpOperation {
  return { scope: 'query', summary, args, options, result };
}

function manage(
  summary: string,
  args: readonly HttpField[],
  result: HttpOperation['result'],
  rest: Pick<HttpOperation, 'optional' | 'options'> = {},
): HttpOperation {
  return { scope: 'manage', summary, args, result, ...rest };
}

const pageOf = (items: JsonSchema): JsonSchema => ({
  type: 'object',
  required: ['items'],
  properties: { items, cursor: { type: 'string', description: 'Start of the next page; missing after the last one.' } },
});
const wasThere: JsonSchema = { anyOf: [FLAG, COUNT] };

/**
 * The operations of the HTTP API, one for each method of {@link GatewayApi} and {@link ClusterApi}: routes, checks, scopes and the OpenAPI document derive from
 * this table. A method that is added to one of them, and not here, does not compile.
 */
export const HTTP_OPERATIONS: { readonly [K in HttpOperationName]: HttpOperation } = {
  sendToClient: push('Sends to one client or several.', ['clientIds', 'topic', 'body']),
  sendToAll: push('Sends to every client, or to some of them.', ['topic', 'body'], [...SEND, 'clientIds']),
  sendToUid: push('Sends to every client of each uid.', ['uids', 'topic', 'body']),
  sendToGroup: push('Sends to every member of the groups.', ['groups', 'topic', 'body']),

  call: {
    ...CALL,
    summary: 'Calls a client, and answers with what it has answered.',
    args: ['clientId', 'topic', 'body'],
  },
  callUid: { ...CALL, summary: 'Calls the clients of a uid: the first answer.', args: ['uid', 'topic', 'body'] },

  bindUid: manage('Binds clients to a uid.', ['clientIds', 'uid'], 'nothing', { options: ['issuedAt', 'expiresAt'] }),
  unbindUid: manage('Releases clients from this uid.', ['clientIds', 'uid'], 'nothing'),
  joinGroup: manage('Adds clients to groups.', ['clientIds', 'groups'], 'nothing'),
  leaveGroup: manage('Takes clients out of groups.', ['clientIds', 'groups'], 'nothing'),
  ungroup: manage('Takes all clients out of the groups.', ['groups'], COUNT),
  setSession: manage('Replaces the settings of a session.', ['clientId', 'settings'], 'nothing'),
  updateSession: manage('Merges settings into a session.', ['clientId', 'settings'], 'nothing', { options: ['deep'] }),
  closeClient: manage('Closes clients after what is queued for them.', ['clientIds', 'topic', 'body'], wasThere, {
    optional: ['topic', 'body'],
  }),
  destroyClient: manage('Closes clients at once.', ['clientIds'], wasThere),
  expireClient: manage('Sets the time at which clients are closed.', ['clientIds', 'moment'], wasThere),
  revoke: manage('Logs uids out on every gate.', ['uids'], COUNT, {
    options: ['forMs', 'exclude', 'partial', 'deadlineMs'],
  }),

  getSession: query('The settings of a session.', ['clientId'], orNull(SETTINGS), WAIT),
  getUidByClientId: query('The uid of a client.', ['clientId'], orNull(NAME), WAIT),
  isOnline: query('Whether a client is connected.', ['clientId'], FLAG, WAIT),
  getClientState: query('The state of a client.', ['clientId'], { enum: ['online', 'away', 'gone'] }, WAIT),
  isUidOnline: query('Whether a uid has a client.', ['uid'], FLAG),
  getAllClientCount: query('How many clients are connected.', [], COUNT),
  getClientCountByGroup: query('How many clients are in the groups.', ['groups'], COUNT),
  getUidCountByGroup: query('How many uids have a client in the groups.', ['groups'], COUNT),
  getAllUidCount: query('How many uids are online.', [], COUNT),
  getAllGroupClientIdCount: query('How many clients each group has.', [], byName(COUNT)),
  getAllGroupUidCount: query('How many uids each group has.', [], byName(COUNT)),
  getAllClientSessions: {
    ...query('The settings of all sessions.', ['groups'], byName(SETTINGS)),
    optional: ['groups'],
  },
  getClientSessionsByGroup: query('The settings of the sessions in the groups.', ['groups'], byName(SETTINGS)),
  getAllClientIdList: query('The ids of all clients.', [], listOf(ID)),
  getClientIdListByGroup: query('The ids of the clients in the groups.', ['groups'], listOf(ID)),
  getClientIdByUid: query('The ids of the clients of a uid.', ['uid'], listOf(ID)),
  getClientIdByUids: query('The ids of the clients of each uid.', ['uids'], byName(listOf(ID))),
  getAllUidList: query('The uids that are online.', [], listOf(NAME)),
  getUidListByGroup: query('The uids in the groups.', ['groups'], listOf(NAME)),
  getAllGroupIdList: query('The groups that have members.', [], listOf(NAME)),
  getAllGroupUidList: query('The uids in each group.', [], byName(listOf(NAME))),
  getAllGroupClientIdList: query('The client ids in each group.', [], byName(listOf(ID))),
  getClientIdPage: query('A page of the client ids.', [], pageOf(listOf(ID)), ['groups', ...PAGE]),
  getUidPage: query('A page of the uids.', [], pageOf(listOf(NAME)), ['groups', ...PAGE]),
  getGroupIdPage: query('A page of the groups.', [], pageOf(listOf(NAME)), PAGE),
  getClientSessionPage: query('A page of the sessions.', [], pageOf(byName(SETTINGS)), ['groups', ...PAGE]),

  getNodes: query('The nodes of the cluster, each with its figures.', [], listOf({ type: 'object' })),
  getClientPage: query('A page of the sessions, without their settings.', [], pageOf(listOf({ type: 'object' })), [
    'groups',
    ...PAGE,
  ]),
  getGroupCountPage: query('A page of the groups with their numbers of clients.', [], pageOf(byName(COUNT)), PAGE),
  getUidCountPage: query('A page of the uids with their numbers of clients.', [], pageOf(byName(COUNT)), PAGE),
  getClient: query('One session in detail.', ['clientId'], orNull({ type: 'object' }), WAIT),
  tapClient: manage(
    'What a session sends and receives, for a minute.',
    ['clientId'],
    { type: 'object', required: ['frames', 'cursor', 'skipped', 'endsInMs', 'isOver'] },
    { options: ['cursor', 'topic', 'deadlineMs'] },
  ),
  tapTopic: manage(
    'What sessions send and receive on a topic, for a minute.',
    ['topic'],
    { type: 'object', required: ['frames', 'cursor', 'skipped', 'endsInMs', 'isOver', 'tapped', 'clients', 'missing'] },
    { options: ['cursor', 'deadlineMs'] },
  ),
  drainGate: manage('Has a gate close its clients by and by.', ['gate'], FLAG, {
    options: ['perSecond', 'deadlineMs'],
  }),
  moveClients: manage('Has a gate ask clients to go on on another one.', ['gate', 'clients'], orNull(COUNT), {
    options: ['perSecond', 'deadlineMs'],
  }),
  rebalanceGates: manage('Has the gates with most clients ask some to go on on another one.', [], byName(COUNT), {
    options: ['perSecond', 'deadlineMs'],
  }),
};

/** The names of all operations. */
export const HTTP_OPERATION_NAMES = Object.freeze(Object.keys(HTTP_OPERATIONS)) as readonly HttpOperationName[];

/** Whether this is the name of an operation. */
export function isHttpOperation(name: unknown): name is HttpOperationName {
  return typeof name === 'string' && Object.hasOwn(HTTP_OPERATIONS, name);
}
