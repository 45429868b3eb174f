import type { Page } from '@nestgate/worker';
import { canonical, type ModelClient, plain } from './gateway-model-support.js';
import { assertSame, type GatewayStage, NAMES } from './gateway-stage-support.js';

/** A question, its answer, and what the answer should be. */
type Check = readonly [question: string, answer: Promise<unknown>, expected: unknown];

/** What an operation was about. */
export interface Touched {
  readonly ids?: readonly string[];
  readonly uids?: readonly string[];
  readonly groups?: readonly string[];
}

const idsOf = (clients: readonly ModelClient[]) => clients.map(client => client.id);
const sessionsOf = (clients: readonly ModelClient[]) =>
  new Map(clients.map(client => [client.id, plain(client.settings)]));

/** Asks all at once, and compares. */
async function expectAll(checks: readonly Check[]): Promise<void> {
  const answers = await Promise.allSettled(checks.map(([, answer]) => answer));
  for (const [index, answer] of answers.entries()) {
    const [question, , expected] = checks[index] as Check;
    if (answer.status === 'rejected') throw new Error(`${question} has failed`, { cause: answer.reason });
    assertSame(question, answer.value, expected);
  }
}

export async function checkTouched(stage: GatewayStage, { ids = [], uids = [], groups = [] }: Touched): Promise<void> {
  await expectAll([
    ...ids.flatMap(id => aboutClient(stage, id)),
    ...uids.flatMap(uid => aboutUid(stage, uid)),
    ...(uids.length > 1 ? [aboutUids(stage, uids)] : []),
    ...groups.flatMap(group => aboutGroups(stage, group)),
    ...(groups.length > 1 ? aboutGroups(stage, groups) : []),
  ]);
}

/** Every question there is. `step` decides about which of the groups, and how long pages are. */
export async function checkEverything(stage: GatewayStage, step: number): Promise<void> {
  const { api, model } = stage;
  const everybody = model.all();
  const some = NAMES.slice(step % NAMES.length, (step % NAMES.length) + 4);
  await expectAll([
    ['getAllClientCount', api.getAllClientCount(), everybody.length],
    ['getAllClientIdList', api.getAllClientIdList(), idsOf(everybody)],
    ['getAllUidCount', api.getAllUidCount(), model.uidsOf(everybody).length],
    ['getAllUidList', api.getAllUidList(), model.uidsOf(everybody)],
    ['getAllGroupIdList', api.getAllGroupIdList(), model.groups()],
    ['getAllGroupClientIdCount', api.getAllGroupClientIdCount(), model.perGroup(members => members.length)],
    ['getAllGroupUidCount', api.getAllGroupUidCount(), model.perGroup(members => model.uidsOf(members).length)],
    ['getAllGroupClientIdList', api.getAllGroupClientIdList(), model.perGroup(idsOf)],
    ['getAllGroupUidList', api.getAllGroupUidList(), model.perGroup(members => model.uidsOf(members))],
    ['getAllClientSessions', api.getAllClientSessions(), sessionsOf(everybody)],
    ...[...model.clients.keys()].flatMap(id => aboutClient(stage, id)),
    ...[stage.pick(0), stage.pick(STALE), ''].flatMap(id => aboutClient(stage, id)),
    ...some.flatMap(name => [...aboutUid(stage, name), ...aboutGroups(stage, name)]),
    ...aboutGroups(stage, some),
    ...aboutGroups(stage, []),
    aboutUids(stage, some),
    aboutUids(stage, NAMES),
  ]);
  await checkPages(stage, (step % 7) + 1, step % 2 === 0 ? undefined : some);
}

/** A number that {@link GatewayStage.pick} takes for a stale id. */
const STALE = 101;

/** Pages are in order, and complete; so is what the iterators give. */
async function checkPages(stage: GatewayStage, limit: number, groups: readonly string[] | undefined): Promise<void> {
  const { api, model } = stage;
  const members = model.inGroups(groups);
  const [ids, uids] = [idsOf(members).sort(), model.uidsOf(members).sort()];
  const options = { limit, groups };
  const sessionPages = pages(limit, cursor => api.getClientSessionPage({ ...options, cursor }), Object.entries);
  const iterated = Promise.all([
    fromAsync(api.clientIds(options)),
    fromAsync(api.uids(options)),
    fromAsync(api.groupIds({ limit })),
    fromAsync(api.clientSessions(options)),
  ]);
  const actual = await Promise.all([
    pages(
      limit,
      cursor => api.getClientIdPage({ ...options, cursor }),
      items => items,
    ),
    pages(
      limit,
      cursor => api.getUidPage({ ...options, cursor }),
      items => items,
    ),
    pages(
      limit,
      cursor => api.getGroupIdPage({ limit, cursor }),
      items => items,
    ),
    sessionPages.then(canonical),
  ]);
  const sessions = canonical([...sessionsOf(members)].sort(([one], [other]) => (one < other ? -1 : 1)));
  const expected = [ids, uids, model.groups().sort(), sessions];
  assertSame(`pages of ${limit}`, actual, expected, value => value);
  const [someIds, someUids, someGroups, someSessions] = await iterated;
  assertSame('iterators', [someIds, someUids, someGroups, canonical(someSessions)], expected, value => value);
}

async function pages<P, T>(
  limit: number,
  pageAt: (cursor: string | undefined) => Promise<Page<P>>,
  itemsOf: (items: P) => readonly T[],
): Promise<T[]> {
  const all: T[] = [];
  let cursor: string | undefined;
  do {
    const page = await pageAt(cursor);
    const items = itemsOf(page.items);
    if (items.length > limit) throw new Error(`A page of ${items.length} for a limit of ${limit}`);
    all.push(...items);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return all;
}

async function fromAsync<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function aboutClient({ api, model }: GatewayStage, id: string): Check[] {
  const client = model.clients.get(id);
  return [
    [`isOnline ${id}`, api.isOnline(id), client !== undefined],
    [`getSession ${id}`, api.getSession(id), client ? plain(client.settings) : null],
    [`getUidByClientId ${id}`, api.getUidByClientId(id), client?.uid ?? null],
  ];
}

function aboutUid({ api, model }: GatewayStage, uid: string): Check[] {
  const ids = idsOf(model.ofUids([uid]));
  return [
    [`isUidOnline ${uid}`, api.isUidOnline(uid), ids.length > 0],
    [`getClientIdByUid ${uid}`, api.getClientIdByUid(uid), ids],
  ];
}

function aboutUids({ api, model }: GatewayStage, uids: readonly string[]): Check {
  const expected = new Map(uids.map(uid => [uid, idsOf(model.ofUids([uid]))]));
  return [`getClientIdByUids ${uids.join()}`, api.getClientIdByUids(uids), expected];
}

function aboutGroups({ api, model }: GatewayStage, groups: string | readonly string[]): Check[] {
  const members = model.inGroups(typeof groups === 'string' ? [groups] : groups);
  const uids = model.uidsOf(members);
  const name = JSON.stringify(groups);
  return [
    [`getClientCountByGroup ${name}`, api.getClientCountByGroup(groups), members.length],
    [`getClientIdListByGroup ${name}`, api.getClientIdListByGroup(groups), idsOf(members)],
    [`getUidCountByGroup ${name}`, api.getUidCountByGroup(groups), uids.length],
    [`getUidListByGroup ${name}`, api.getUidListByGroup(groups), uids],
    [`getClientSessionsByGroup ${name}`, api.getClientSessionsByGroup(groups), sessionsOf(members)],
    [`getAllClientSessions ${name}`, api.getAllClientSessions(groups), sessionsOf(members)],
  ];
}
