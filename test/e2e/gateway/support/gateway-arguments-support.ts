import type { GatewayApi } from '@nestgate/worker';

/** What an argument is. */
export type ArgumentKind = keyof typeof BAD;

/** Values that each kind of argument must not have. */
export const BAD = {
  clientId: [1, null, undefined, {}, ['gate-0.a.1'], new String('x'), 'x'.repeat(257)],
  clientIds: [1, null, undefined, {}, [1], ['x', null], holes(), many('gate-0.a.1'), 'x'.repeat(257)],
  someIds: [1, null, { length: 1, 0: 'x' }, new Set(['x']), [1], ['x', {}], holes(), many('gate-0.a.1')],
  name: ['', 'x'.repeat(129), 'é'.repeat(65), '\ud800', 'a\nb', '\u0000', 1, null, undefined, {}, ['a'], 1n],
  names: ['', [''], ['fine', ''], ['fine', 'x'.repeat(129)], ['fine', '\udc00'], [{}], holes(), many('u'), 1, null, {}],
  someNames: ['', ['fine', ''], ['\ud800'], many('u'), 1, null, {}],
  topic: ['', 'a b', '/a', 'a/', '$gate/hello', '*', '>', 'é', 'x'.repeat(129), '\ud800', 1, null, {}, Symbol('t')],
  body: [
    1n,
    { deep: [1n] },
    cycle(),
    nested(),
    () => 1,
    Symbol('s'),
    Number.NaN,
    new Map([['a', 1]]),
    { deep: [Promise.resolve(1)] },
    'x'.repeat(1024 * 1024),
    Buffer.alloc(1024 * 1024 + 1),
  ],
  settings: [
    1,
    'text',
    null,
    undefined,
    [1],
    new Map([['a', 1]]),
    new Date(0),
    { a: 1n },
    { a: cycle() },
    { a: [new Set()] },
    { '': 1 },
  ],
  deadline: [0, -1, Number.NaN, Infinity, '100', null, 2 ** 40, 1n].map(deadlineMs => ({ deadlineMs })),
  limit: [0, -1, 1.5, 10_001, Number.NaN, '10', null].map(limit => ({ limit })),
  cursor: [1, null, {}, 'x'.repeat(257)].map(cursor => ({ cursor })),
  inGroups: ['', ['fine', ''], 1, null, many('g')].map(groups => ({ groups })),
  exclude: [1, null, [1], {}, many('gate-0.a.1')].map(exclude => ({ exclude })),
} as const satisfies Record<string, readonly unknown[]>;

/** A call that is fine but for one of its arguments: `kind` says which values that one must not have. */
export interface Call {
  readonly name: string;
  readonly kind: ArgumentKind;
  readonly with: (bad: unknown) => Promise<unknown>;
}

type Any = never;

/** Every argument of every method. `id` is a client that is there, so that only the argument at hand is wrong. */
export function callsOf(api: GatewayApi, id: string): Call[] {
  const of = (name: string, arguments_: readonly (readonly [ArgumentKind, (bad: Any) => Promise<unknown>])[]) =>
    arguments_.map(([kind, call]): Call => ({ name, kind, with: call as (bad: unknown) => Promise<unknown> }));
  const first = (items: AsyncIterator<unknown>) => items.next();
  const pages = (page: (options: Any) => Promise<unknown>, iterate: (options: Any) => AsyncIterator<unknown>) =>
    [
      ['deadline', page],
      ['limit', page],
      ['cursor', page],
      ['deadline', options => first(iterate(options))],
      ['limit', options => first(iterate(options))],
    ] as readonly (readonly [ArgumentKind, (bad: Any) => Promise<unknown>])[];
  const confirm = { confirm: true } as const;
  return [
    ...of('sendToClient', [
      ['clientIds', bad => api.sendToClient(bad, 't/n', 1)],
      ['topic', bad => api.sendToClient(id, bad, 1)],
      ['body', bad => api.sendToClient([id], 't/n', bad)],
      ['exclude', bad => api.sendToClient(id, 't/n', 1, bad)],
      ['clientIds', bad => api.sendToClient(bad, 't/n', 1, confirm)],
      ['body', bad => api.sendToClient(id, 't/n', bad, confirm)],
      ['deadline', bad => api.sendToClient(id, 't/n', 1, { ...confirm, ...(bad as object) })],
    ]),
    ...of('sendToAll', [
      ['topic', bad => api.sendToAll(bad, 1)],
      ['body', bad => api.sendToAll('t/n', bad)],
      ['someIds', bad => api.sendToAll('t/n', 1, bad)],
      ['someIds', bad => api.sendToAll('t/n', 1, undefined, bad)],
      ['exclude', bad => api.sendToAll('t/n', 1, bad)],
      ['someIds', bad => api.sendToAll('t/n', 1, { clientIds: bad })],
      ['exclude', bad => api.sendToAll('t/n', 1, [id], [id], bad)],
      ['body', bad => api.sendToAll('t/n', bad, undefined, undefined, confirm)],
    ]),
    ...of('sendToUid', [
      ['names', bad => api.sendToUid(bad, 't/n', 1)],
      ['topic', bad => api.sendToUid('ada', bad, 1)],
      ['body', bad => api.sendToUid('ada', 't/n', bad)],
      ['exclude', bad => api.sendToUid('ada', 't/n', 1, bad)],
      ['names', bad => api.sendToUid(bad, 't/n', 1, confirm)],
    ]),
    ...of('sendToGroup', [
      ['names', bad => api.sendToGroup(bad, 't/n', 1)],
      ['topic', bad => api.sendToGroup('lobby', bad, 1)],
      ['body', bad => api.sendToGroup('lobby', 't/n', bad)],
      ['someIds', bad => api.sendToGroup('lobby', 't/n', 1, bad)],
      ['exclude', bad => api.sendToGroup('lobby', 't/n', 1, bad)],
      ['exclude', bad => api.sendToGroup('lobby', 't/n', 1, [id], bad)],
      ['names', bad => api.sendToGroup(bad, 't/n', 1, undefined, confirm)],
    ]),
    ...of('bindUid', [
      ['clientIds', bad => api.bindUid(bad, 'bob')],
      ['clientIds', bad => api.bindUid([id, bad], 'bob')],
      ['name', bad => api.bindUid(id, bad)],
    ]),
    ...of('unbindUid', [
      ['clientIds', bad => api.unbindUid([id, bad], 'ada')],
      ['name', bad => api.unbindUid(id, bad)],
    ]),
    ...of('joinGroup', [
      ['clientIds', bad => api.joinGroup([id, bad], 'hall')],
      ['names', bad => api.joinGroup(id, bad)],
    ]),
    ...of('leaveGroup', [
      ['clientIds', bad => api.leaveGroup([id, bad], 'lobby')],
      ['names', bad => api.leaveGroup(id, bad)],
    ]),
    ...of('ungroup', [['names', bad => api.ungroup(bad)]]),
    ...of('setSession', [
      ['clientId', bad => api.setSession(bad, {})],
      ['settings', bad => api.setSession(id, bad)],
    ]),
    ...of('updateSession', [
      ['clientId', bad => api.updateSession(bad, {})],
      ['settings', bad => api.updateSession(id, bad, { deep: true })],
    ]),
    ...of('getSession', [
      ['clientId', bad => api.getSession(bad)],
      ['deadline', bad => api.getSession(id, bad)],
    ]),
    ...of('getUidByClientId', [
      ['clientId', bad => api.getUidByClientId(bad)],
      ['deadline', bad => api.getUidByClientId(id, bad)],
    ]),
    ...of('isOnline', [
      ['clientId', bad => api.isOnline(bad)],
      ['deadline', bad => api.isOnline(id, bad)],
    ]),
    ...of('getClientState', [
      ['clientId', bad => api.getClientState(bad)],
      ['deadline', bad => api.getClientState(id, bad)],
    ]),
    ...of('closeClient', [
      ['clientIds', bad => api.closeClient([id, bad])],
      ['topic', bad => api.closeClient(id, bad, 1)],
      ['body', bad => api.closeClient(id, 't/n', bad)],
      ['body', bad => api.closeClient(id, undefined, ...([bad] as unknown as []))],
    ]),
    ...of('destroyClient', [['clientIds', bad => api.destroyClient([id, bad])]]),
    ...of('isUidOnline', [
      ['name', bad => api.isUidOnline(bad)],
      ['deadline', bad => api.isUidOnline('ada', bad)],
    ]),
    ...of('getAllClientCount', [['deadline', bad => api.getAllClientCount(bad)]]),
    ...of('getClientCountByGroup', [['names', bad => api.getClientCountByGroup(bad)]]),
    ...of('getUidCountByGroup', [['names', bad => api.getUidCountByGroup(bad)]]),
    ...of('getAllUidCount', [['deadline', bad => api.getAllUidCount(bad)]]),
    ...of('getAllGroupClientIdCount', [['deadline', bad => api.getAllGroupClientIdCount(bad)]]),
    ...of('getAllGroupUidCount', [['deadline', bad => api.getAllGroupUidCount(bad)]]),
    ...of('getAllClientSessions', [['someNames', bad => api.getAllClientSessions(bad)]]),
    ...of('getClientSessionsByGroup', [['names', bad => api.getClientSessionsByGroup(bad)]]),
    ...of('getAllClientIdList', [['deadline', bad => api.getAllClientIdList(bad)]]),
    ...of('getClientIdListByGroup', [['names', bad => api.getClientIdListByGroup(bad)]]),
    ...of('getClientIdByUid', [['name', bad => api.getClientIdByUid(bad)]]),
    ...of('getClientIdByUids', [['names', bad => api.getClientIdByUids(bad)]]),
    ...of('getAllUidList', [['deadline', bad => api.getAllUidList(bad)]]),
    ...of('getUidListByGroup', [['names', bad => api.getUidListByGroup(bad)]]),
    ...of('getAllGroupIdList', [['deadline', bad => api.getAllGroupIdList(bad)]]),
    ...of('getAllGroupUidList', [['deadline', bad => api.getAllGroupUidList(bad)]]),
    ...of('getAllGroupClientIdList', [['deadline', bad => api.getAllGroupClientIdList(bad)]]),
    ...of('getClientIdPage', [
      ...pages(
        options => api.getClientIdPage(options),
        options => api.clientIds(options),
      ),
      ['inGroups', bad => api.getClientIdPage(bad)],
    ]),
    ...of('getUidPage', [
      ...pages(
        options => api.getUidPage(options),
        options => api.uids(options),
      ),
      ['inGroups', bad => first(api.uids(bad))],
    ]),
    ...of(
      'getGroupIdPage',
      pages(
        options => api.getGroupIdPage(options),
        options => api.groupIds(options),
      ),
    ),
    ...of('getClientSessionPage', [
      ...pages(
        options => api.getClientSessionPage(options),
        options => api.clientSessions(options),
      ),
      ['inGroups', bad => api.getClientSessionPage(bad)],
    ]),
  ];
}

function many(item: string): string[] {
  return Array.from({ length: 100_000 }, () => item);
}

/** A list that has a length, and nothing at some of its places. */
function holes(): string[] {
  const list = ['x'];
  list[2] = 'y';
  return list;
}

/** JSON that no stack is deep enough to write. */
function nested(): unknown {
  let value: unknown[] = [];
  for (let depth = 0; depth < 100_000; depth++) value = [value];
  return value;
}

function cycle(): unknown {
  const self: Record<string, unknown> = {};
  self['self'] = { self };
  return self;
}
