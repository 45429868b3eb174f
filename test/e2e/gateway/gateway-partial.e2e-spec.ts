import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Handlers, sessionContract, type SessionContract } from '@nestgate/link/internal';
import type { GatewayApi } from '@nestgate/worker';
import { GatewayCluster, type PushClient, type RunningGate } from './support/gateway-cluster-support.js';
import { canonical } from './support/gateway-model-support.js';
import { LINKS, type LinkName, LinkSupply } from '../support/links.js';
import { rejectionOf } from '../../support/codes.js';

/** How long the questions here wait for the gate that does not answer, in milliseconds. */
const deadlineMs = 500;
/** The same where many are asked at once, and the gates that do answer have to answer all of them in this time. */
const crowdDeadlineMs = 2_000;
const ALLOW = { partial: 'allow', deadlineMs } as const;
const MISSING = ['gate-2'];

describe.each(LINKS)('a gate that does not answer, over %s', (name: LinkName) => {
  let links: LinkSupply;
  let cluster: GatewayCluster;
  let api: GatewayApi;
  let ids: string[];
  let clients: PushClient[];

  beforeAll(async () => {
    links = await LinkSupply.open(name);
    cluster = await GatewayCluster.open(links);
    ({ api } = cluster);
    clients = [await cluster.connect(0), await cluster.connect(1), await cluster.connect(2)];
    ids = clients.map(client => client.clientId);
    await api.bindUid(ids, 'ada');
    await api.joinGroup(ids, ['lobby', 'hall']);
    await api.joinGroup(ids[2] as string, 'attic');
    for (const id of ids) await api.setSession(id, { at: id });
    silence(cluster.gates[2] as RunningGate);
  });
  afterAll(async () => {
    // It answers again, so that nobody waits for it now.
    cluster.gates[2]?.delegater.onModuleInit();
    await cluster.close();
    await links.close();
  });

  /** Each question to all gates, and what the two that answer know. */
  const questions: readonly (readonly [
    question: string,
    ask: (options: { deadlineMs: number; partial?: 'allow' }) => Promise<unknown>,
    known: () => unknown,
  ])[] = [
    ['isUidOnline', options => api.isUidOnline('ada', options), () => true],
    ['isUidOnline of nobody', options => api.isUidOnline('bob', options), () => false],
    ['getAllClientCount', options => api.getAllClientCount(options), () => 2],
    ['getClientCountByGroup', options => api.getClientCountByGroup(['lobby', 'attic'], options), () => 2],
    ['getUidCountByGroup', options => api.getUidCountByGroup('lobby', options), () => 1],
    ['getAllUidCount', options => api.getAllUidCount(options), () => 1],
    ['getAllGroupClientIdCount', options => api.getAllGroupClientIdCount(options), () => ({ lobby: 2, hall: 2 })],
    ['getAllGroupUidCount', options => api.getAllGroupUidCount(options), () => ({ lobby: 1, hall: 1 })],
    ['getAllClientSessions', options => api.getAllClientSessions(undefined, options), () => settings()],
    ['getAllClientSessions of a group', options => api.getAllClientSessions('attic', options), () => ({})],
    ['getClientSessionsByGroup', options => api.getClientSessionsByGroup('lobby', options), () => settings()],
    ['getAllClientIdList', options => api.getAllClientIdList(options), () => known()],
    ['getClientIdListByGroup', options => api.getClientIdListByGroup('hall', options), () => known()],
    ['getClientIdByUid', options => api.getClientIdByUid('ada', options), () => known()],
    ['getClientIdByUids', options => api.getClientIdByUids(['ada', 'bob'], options), () => ({ ada: known(), bob: [] })],
    ['getAllUidList', options => api.getAllUidList(options), () => ['ada']],
    ['getUidListByGroup', options => api.getUidListByGroup('lobby', options), () => ['ada']],
    ['getAllGroupIdList', options => api.getAllGroupIdList(options), () => ['lobby', 'hall']],
    ['getAllGroupUidList', options => api.getAllGroupUidList(options), () => ({ lobby: ['ada'], hall: ['ada'] })],
    [
      'getAllGroupClientIdList',
      options => api.getAllGroupClientIdList(options),
      () => ({ lobby: known(), hall: known() }),
    ],
    [
      'getClientIdPage',
      options => api.getClientIdPage({ ...options, limit: 1 }),
      () => page(known().slice(0, 1), known()[0]),
    ],
    ['getUidPage', options => api.getUidPage(options), () => page(['ada'])],
    ['getGroupIdPage', options => api.getGroupIdPage({ ...options, limit: 2 }), () => page(['hall', 'lobby'], 'lobby')],
    [
      'getClientSessionPage',
      options => api.getClientSessionPage({ ...options, groups: 'hall' }),
      () => page(settings()),
    ],
    [
      'sendToClient',
      options => api.sendToClient(ids, 'p/n', 1, { ...options, confirm: true }),
      () => ({ delivered: 2 }),
    ],
    [
      'sendToAll',
      options => api.sendToAll('p/n', 1, undefined, undefined, { ...options, confirm: true }),
      () => ({ delivered: 2 }),
    ],
    ['sendToUid', options => api.sendToUid('ada', 'p/n', 1, { ...options, confirm: true }), () => ({ delivered: 2 })],
    [
      'sendToGroup',
      options => api.sendToGroup('lobby', 'p/n', 1, undefined, { ...options, confirm: true }),
      () => ({ delivered: 2 }),
    ],
  ];

  const known = () => ids.slice(0, 2).sort();
  const settings = () => Object.fromEntries(known().map(id => [id, { at: id }]));
  const page = (items: object, cursor?: string) => ({ items, cursor });

  it('is missing from every answer, which is rejected or, when allowed, given with what is missing', async () => {
    const outcomes = await Promise.all(
      questions.map(async ([question, ask, whole]) => {
        const [{ code, details }, allowed] = await Promise.all([
          rejectionOf(ask({ deadlineMs: crowdDeadlineMs })),
          ask({ partial: 'allow', deadlineMs: crowdDeadlineMs }) as Promise<Allowed>,
        ]);
        const { missing, ...rest } = allowed;
        return {
          question,
          rejected: { code, details: canonical(details) },
          missing,
          result: canonical('result' in rest ? rest.result : rest),
          whole: canonical(whole()),
        };
      }),
    );
    for (const { whole, question, ...outcome } of outcomes) {
      const details = [
        ['missing', MISSING],
        ['result', whole],
      ];
      const rejected = { code: 'PARTIAL_RESULT', details };
      expect({ question, ...outcome }).toEqual({ question, rejected, missing: MISSING, result: whole });
    }
  });

  it('is not taken for one whose clients are gone', async () => {
    const [near, , far] = ids as [string, string, string];
    const codes = [
      api.isOnline(far, { deadlineMs }),
      api.getSession(far, { deadlineMs }),
      api.getUidByClientId(far, { deadlineMs }),
    ];
    for (const question of codes) await expect(question).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(await api.isOnline(near)).toBe(true);
    const confirm = { confirm: true, deadlineMs } as const;
    await expect(api.sendToClient(far, 'p/n', 1, confirm)).rejects.toMatchObject({
      code: 'PARTIAL_RESULT',
      details: { result: false, missing: MISSING },
    });
    expect(await api.sendToClient(far, 'p/n', 1, { ...confirm, partial: 'allow' })).toEqual({
      result: false,
      missing: MISSING,
    });
    expect(await api.sendToClient(near, 'p/n', 1, { ...confirm, partial: 'allow' })).toEqual({
      result: true,
      missing: [],
    });
  });

  it('ends what goes through pages', async () => {
    const going = async (items: AsyncIterable<unknown>) => {
      for await (const _item of items);
    };
    const items = [api.clientIds(ALLOW), api.uids(ALLOW), api.groupIds(ALLOW), api.clientSessions(ALLOW)];
    const outcomes = await Promise.all(items.map(each => rejectionOf(going(each))));
    expect(outcomes.map(({ code }) => code)).toEqual(items.map(() => 'PARTIAL_RESULT'));
  });

  it('does not keep the others from what concerns them only', async () => {
    const [near] = ids as [string];
    await api.updateSession(near, { more: 1 });
    expect(await api.getSession(near)).toEqual({ at: near, more: 1 });
    await api.sendToGroup('lobby', 'p/after', 2);
    await Promise.all(clients.slice(0, 2).map(client => client.until('p/after', 2)));
  });
});

type Allowed = Readonly<Record<string, unknown>> & { readonly missing: unknown };

/** From now on the gate takes everything and says nothing: as one that hangs, and is not known to. */
function silence({ node }: RunningGate): void {
  const never = () => new Promise<never>(() => undefined);
  const handlers = Object.fromEntries(Object.keys(sessionContract).map(operation => [operation, never]));
  node.dispatcher.serve(sessionContract, handlers as unknown as Handlers<SessionContract>);
}
