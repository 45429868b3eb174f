import { checkEverything, checkTouched, type Touched } from './gateway-checks-support.js';
import { entriesOf, mergedSettings, type ModelClient } from './gateway-model-support.js';
import type { Operation, OperationKind } from './gateway-operations-support.js';
import { runPushes } from './gateway-push-support.js';
import { assertSame, type GatewayStage } from './gateway-stage-support.js';

/** Clients at most: more find no new mistakes, and take their time. */
const MAX_CLIENTS = 14;
/** Every so many operations all questions are asked. */
const CHECK_ALL_EVERY = 20;

type Runner<K extends OperationKind> = (
  stage: GatewayStage,
  operation: Extract<Operation, { kind: K }>,
) => Promise<Touched>;

const RUNNERS: { readonly [K in OperationKind]: Runner<K> } = {
  async connect(stage, { gate }) {
    if (stage.clients.size >= MAX_CLIENTS) return {};
    return { ids: [await stage.connect(gate)] };
  },
  async leave(stage, { who, politely }) {
    const id = stage.pick(who);
    const client = stage.clients.get(id);
    if (!client) return {};
    const touched = about(stage.model.present([id]));
    if (politely) client.fake.socket.close();
    else client.fake.socket.terminate();
    await stage.untilGone(id);
    stage.forget(id);
    return touched;
  },
  async restart(stage, { gate }) {
    const lost = stage.model.all().filter(client => client.gate === gate);
    const touched = about(lost);
    const ended = lost.map(({ id }) => stage.clients.get(id)?.fake.closed);
    await stage.cluster.restartGate(gate);
    for (const end of ended) assertSame('close code', (await end)?.code, 1012);
    for (const { id } of lost) stage.forget(id);
    return touched;
  },
  async bind(stage, { who, uid }) {
    const { ids, clients } = picked(stage, who);
    await expectFound(stage.api.bindUid(ids.length === 1 ? (ids[0] as string) : ids, uid), ids, clients);
    const before = clients.flatMap(client => client.uid ?? []);
    for (const client of clients) client.uid = uid;
    return { ids, uids: [...before, uid], groups: about(clients).groups };
  },
  async unbind(stage, { who, uid }) {
    const { ids, clients } = picked(stage, who);
    const touched = about(clients);
    await expectFound(stage.api.unbindUid(ids, uid), ids, clients);
    for (const client of clients) if (client.uid === uid) client.uid = undefined;
    return { ...touched, ids, uids: [...(touched.uids ?? []), uid] };
  },
  async join(stage, { who, groups }) {
    const { ids, clients } = picked(stage, who);
    await expectFound(stage.api.joinGroup(ids, groups.length === 1 ? (groups[0] as string) : groups), ids, clients);
    for (const client of clients) for (const group of groups) client.groups.add(group);
    return { groups };
  },
  async quit(stage, { who, groups }) {
    const { ids, clients } = picked(stage, who);
    await expectFound(stage.api.leaveGroup(ids, groups), ids, clients);
    for (const client of clients) for (const group of groups) client.groups.delete(group);
    return { groups };
  },
  async ungroup(stage, { groups }) {
    const distinct = [...new Set(groups)];
    const memberships = distinct.reduce((sum, group) => sum + stage.model.inGroups([group]).length, 0);
    assertSame('memberships', await stage.api.ungroup(distinct), memberships);
    for (const client of stage.model.all()) for (const group of groups) client.groups.delete(group);
    return { groups };
  },
  async replace(stage, { who, settings }) {
    const { ids, clients } = picked(stage, [who]);
    await expectFound(stage.api.setSession(ids[0] as string, settings), ids, clients);
    for (const client of clients) client.settings = entriesOf(settings);
    return { ids };
  },
  async update(stage, { who, settings, deep }) {
    const { ids, clients } = picked(stage, [who]);
    await expectFound(stage.api.updateSession(ids[0] as string, settings, { deep }), ids, clients);
    for (const client of clients) client.settings = mergedSettings(client.settings, entriesOf(settings), deep);
    return { ids };
  },
  async close(stage, { who, alone, words }) {
    const { ids, clients } = picked(stage, alone ? who.slice(0, 1) : who);
    const { api } = stage;
    const [first] = ids as [string];
    const closing = words
      ? alone
        ? api.closeClient(first, 'stage/last', 'words')
        : api.closeClient(ids, 'stage/last', 'words')
      : alone
        ? api.closeClient(first)
        : api.closeClient(ids);
    assertSame('closed', await closing, alone ? clients.length > 0 : clients.length);
    return seeOff(stage, ids, clients, 4002, words ? ['words'] : []);
  },
  async destroy(stage, { who, alone }) {
    const { ids, clients } = picked(stage, alone ? who.slice(0, 1) : who);
    const ending = alone ? stage.api.destroyClient(ids[0] as string) : stage.api.destroyClient(ids);
    assertSame('destroyed', await ending, alone ? clients.length > 0 : clients.length);
    return seeOff(stage, ids, clients, 1006, []);
  },
  async push(stage, { pushes, awaited }) {
    await runPushes(stage, pushes, awaited);
    return {};
  },
};

/** Runs an operation on cluster and model, and compares the two. */
export async function run(stage: GatewayStage, operation: Operation): Promise<void> {
  const runner = RUNNERS[operation.kind] as Runner<OperationKind>;
  await checkTouched(stage, await runner(stage, operation));
  if (++stage.steps % CHECK_ALL_EVERY === 0) await finish(stage);
}

/** Compares everything; nobody has got what was not sent. */
export async function finish(stage: GatewayStage): Promise<void> {
  await checkEverything(stage, stage.steps);
  await stage.expectPushes(new Map());
}

function picked(stage: GatewayStage, who: readonly number[]): { ids: string[]; clients: ModelClient[] } {
  const ids = [...new Set(who.map(each => stage.pick(each)))];
  return { ids, clients: stage.model.present(ids) };
}

function about(clients: readonly ModelClient[]): Touched {
  return {
    ids: clients.map(client => client.id),
    uids: clients.flatMap(client => client.uid ?? []),
    groups: clients.flatMap(client => [...client.groups]).slice(0, 8),
  };
}

/** A change of clients of which some are not there rejects, and is made for the others. */
async function expectFound(
  change: Promise<unknown>,
  ids: readonly string[],
  found: readonly ModelClient[],
): Promise<void> {
  const code = await change.then(
    () => undefined,
    (error: Error & { code?: string }) => error.code ?? error.message,
  );
  assertSame(`${ids.join()} found`, code, ids.length === found.length ? undefined : 'SESSION_NOT_FOUND');
}

/** Clients that were closed have got their last message, and are gone; each with a new id when it comes back. */
async function seeOff(
  stage: GatewayStage,
  ids: readonly string[],
  clients: readonly ModelClient[],
  code: number,
  last: readonly string[],
): Promise<Touched> {
  const touched = about(clients);
  for (const { id } of clients) {
    const client = stage.clients.get(id);
    assertSame('close code', (await client?.fake.closed)?.code, code);
    assertSame(
      'last message',
      client?.rest().map(frame => frame.body),
      last,
    );
    stage.forget(id);
  }
  return { ...touched, ids };
}
