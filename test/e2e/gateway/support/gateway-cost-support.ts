import { Controller } from '@nestjs/common';
import { createCaller, sessionContract } from '@nestgate/link/internal';
import { GatewayApi, OnTopic } from '@nestgate/worker';
import { GatewayCluster, type PushClient } from './gateway-cluster-support.js';
import { LinkWatch } from './gateway-traffic-support.js';
import type { LinkSupply } from '../../support/links.js';

/** What the calls of {@link costCalls} are about, in the symbols of the page. */
export const SYMBOLS: Readonly<Record<string, number>> = { G: 3, o: 2, g: 2, n: 3, m: 2 };
/** The operation with which the gates are asked whether they have got everything. */
const SYNC = 'sync';

/** A call of each method; its promise, or what else shows that it has ended. */
export type CostCalls = Readonly<Record<string, (api: GatewayApi, clients: CostClients) => Promise<unknown>>>;

/** Clients of the cluster: two on the first gate and one on the second in the lobby as `ada`, one on the third by itself. */
interface CostClients {
  readonly ids: readonly string[];
  readonly one: string;
}

const first = (items: AsyncIterator<unknown>) => items.next();

export const COST_CALLS: CostCalls = {
  sendToClient: (api, { ids }) => api.sendToClient(ids, 'cost/n', 1),
  sendToCurrentClient: api => api.sendToCurrentClient('cost/n', 1),
  sendToAll: api => api.sendToAll('cost/n', 1),
  sendToUid: api => api.sendToUid('ada', 'cost/n', 1),
  sendToGroup: api => api.sendToGroup('lobby', 'cost/n', 1),
  call: (api, { one }) => api.call(one, 'cost/ask', 1, { timeoutMs: 100 }).catch(() => undefined),
  callUid: api => api.callUid('ada', 'cost/ask', 1, { timeoutMs: 100 }).catch(() => undefined),
  bindUid: (api, { ids }) => api.bindUid(ids, 'ada'),
  unbindUid: (api, { ids }) => api.unbindUid(ids, 'bob'),
  joinGroup: (api, { ids }) => api.joinGroup(ids, ['lobby', 'hall']),
  leaveGroup: (api, { ids }) => api.leaveGroup(ids, ['attic', 'cellar']),
  ungroup: api => api.ungroup(['attic', 'cellar']),
  setSession: (api, { one }) => api.setSession(one, { a: 1 }),
  updateSession: (api, { one }) => api.updateSession(one, { b: 1 }),
  getSession: (api, { one }) => api.getSession(one),
  closeClient: (api, { ids }) => api.closeClient(ids, 'cost/last', 1),
  closeCurrentClient: api => api.closeCurrentClient(),
  destroyClient: (api, { ids }) => api.destroyClient(ids),
  destroyCurrentClient: api => api.destroyCurrentClient(),
  isOnline: (api, { one }) => api.isOnline(one),
  getClientState: (api, { one }) => api.getClientState(one),
  isUidOnline: api => api.isUidOnline('ada'),
  getAllClientCount: api => api.getAllClientCount(),
  getClientCountByGroup: api => api.getClientCountByGroup('lobby'),
  getUidCountByGroup: api => api.getUidCountByGroup('lobby'),
  getAllUidCount: api => api.getAllUidCount(),
  getAllGroupClientIdCount: api => api.getAllGroupClientIdCount(),
  getAllGroupUidCount: api => api.getAllGroupUidCount(),
  getAllClientSessions: api => api.getAllClientSessions(),
  getClientSessionsByGroup: api => api.getClientSessionsByGroup('lobby'),
  getAllClientIdList: api => api.getAllClientIdList(),
  getClientIdListByGroup: api => api.getClientIdListByGroup('lobby'),
  getClientIdByUid: api => api.getClientIdByUid('ada'),
  getClientIdByUids: api => api.getClientIdByUids(['ada', 'bob']),
  getUidListByGroup: api => api.getUidListByGroup('lobby'),
  getAllUidList: api => api.getAllUidList(),
  getUidByClientId: (api, { one }) => api.getUidByClientId(one),
  getAllGroupIdList: api => api.getAllGroupIdList(),
  getAllGroupUidList: api => api.getAllGroupUidList(),
  getAllGroupClientIdList: api => api.getAllGroupClientIdList(),
  getClientIdPage: api => api.getClientIdPage(),
  getUidPage: api => api.getUidPage(),
  getGroupIdPage: api => api.getGroupIdPage(),
  getClientSessionPage: api => api.getClientSessionPage({ groups: 'lobby' }),
  clientIds: api => first(api.clientIds()),
  uids: api => first(api.uids()),
  groupIds: api => first(api.groupIds()),
  clientSessions: api => first(api.clientSessions({ groups: 'lobby' })),
  expireClient: (api, { ids }) => api.expireClient(ids, Date.now() + 3_600_000),
  revoke: api => api.revoke('bob'),
  'sendToAll with ids': (api, { ids }) => api.sendToAll('cost/n', 1, ids),
  'sendToUid with several uids': api => api.sendToUid(['ada', 'bob'], 'cost/n', 1),
  'sendToGroup with several groups': api => api.sendToGroup(['lobby', 'hall'], 'cost/n', 1),
  'sendToAll with confirm': api => api.sendToAll('cost/n', 1, undefined, undefined, { confirm: true }),
  'sendToUid with confirm': api => api.sendToUid('ada', 'cost/n', 1, { confirm: true }),
  'sendToGroup with confirm': api => api.sendToGroup('lobby', 'cost/n', 1, undefined, { confirm: true }),
  'sendToClient with confirm': (api, { ids }) => api.sendToClient(ids, 'cost/n', 1, { confirm: true }),
};

/** Runs what a test wants in a handler, where there is a current client. */
class Task {
  run: () => Promise<unknown> = () => Promise.resolve();
}

@Controller()
class CostTopics {
  constructor(private readonly task: Task) {}

  @OnTopic('cost/run')
  async run() {
    await this.task.run();
  }
}

/** What a call has cost. */
export interface Cost {
  readonly messages: number;
  readonly gates: number;
  /** Whether its promise was still open when the call had returned. */
  readonly waits: boolean;
}

/** A cluster that counts what each call sends, and which gates it comes to. */
export class CostMeter {
  private readonly task = new Task();
  private readonly worker = new LinkWatch();
  private readonly gates = [new LinkWatch(), new LinkWatch(), new LinkWatch()] as const;
  private cluster!: GatewayCluster;

  static async open(links: LinkSupply): Promise<CostMeter> {
    const meter = new CostMeter();
    const { task, worker, gates } = meter;
    meter.cluster = await GatewayCluster.open(links, {
      gates: gates.length,
      handlers: { controllers: [CostTopics], providers: [{ provide: Task, useValue: task }] },
      worker: { currentClient: true },
      wrap: (link, role, index) => (role === 'worker' ? worker : (gates[index] as LinkWatch)).wrap(link),
    });
    return meter;
  }

  /** What a call costs, made by a handler of a client on the third gate. */
  async measure(call: CostCalls[string]): Promise<Cost> {
    const { api } = this.cluster;
    const caller = await this.cluster.connect(2);
    const clients: PushClient[] = [];
    for (const gate of [0, 0, 1]) clients.push(await this.cluster.connect(gate));
    const ids = clients.map(client => client.clientId);
    await api.joinGroup(ids, ['lobby', 'hall']);
    await api.bindUid(ids, 'ada');
    let waits = false;
    this.task.run = async () => {
      for (const watch of [this.worker, ...this.gates]) watch.clear();
      let isOver = false;
      const outcome = call(api, { ids, one: ids[0] as string }).then(() => (isOver = true));
      for (let turn = 0; turn < 5; turn++) await Promise.resolve();
      waits = !isOver;
      await outcome;
    };
    await Promise.race([caller.fake.exchange('cost/run').catch(() => undefined), caller.fake.closed]);
    await createCaller(this.cluster.workerNode, sessionContract)[SYNC].call(undefined);
    const messages = this.worker.sent.filter(operation => operation !== SYNC).length;
    const gates = this.gates.filter(watch => watch.received.some(operation => operation !== SYNC)).length;
    for (const client of [caller, ...clients]) client.fake.socket.terminate();
    await api.destroyClient([caller.clientId, ...ids]);
    return { messages, gates, waits };
  }

  close(): Promise<void> {
    return this.cluster.close();
  }
}
