import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, type Type } from '@nestjs/common';
import {
  AgentLearner,
  type ClientAgent,
  Delegater,
  type GateOptions,
  HandshakeHandler,
  SessionLearner,
} from '@nestgate/gate';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { ClientSession, GateTransport, OnConnect, OnDisconnect, Session } from '@nestgate/worker';
import { WebSocket } from 'ws';
import { WorkerDirectory } from '../../../libs/gate/src/routing/worker-directory.js';
import { LINKS, type LinkName, LinkSupply } from '../support/links.js';

/** Clients of each race; all come at once. */
const ROUNDS = 200;
/** How long a connect hook takes, in milliseconds. */
const HOOK_MS = 100;

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

type Hook = 'agent' | 'session' | 'event';

/** What the hooks were called for, by client: `<` a connect hook has begun, `>` it has ended, `-` a disconnect hook has begun. */
class Book {
  readonly lines = new Map<string, string>();
  readonly slow = new Set<Hook>();
  onAgent: (agent: ClientAgent) => void | Promise<void> = () => undefined;

  async connect(hook: Hook, clientId: string): Promise<void> {
    this.note(hook, clientId, '<');
    if (this.slow.has(hook)) await pause(HOOK_MS);
    this.note(hook, clientId, '>');
  }

  disconnect(hook: Hook, clientId: string): void {
    this.note(hook, clientId, '-');
  }

  /** How often each order of calls has happened. */
  orders(hook: Hook): Record<string, number> {
    const orders: Record<string, number> = {};
    for (const [key, line] of this.lines) if (key.startsWith(`${hook} `)) orders[line] = (orders[line] ?? 0) + 1;
    return orders;
  }

  private note(hook: Hook, clientId: string, mark: string): void {
    const key = `${hook} ${clientId}`;
    this.lines.set(key, (this.lines.get(key) ?? '') + mark);
  }
}

class Agents extends AgentLearner {
  constructor(private readonly book: Book) {
    super();
  }
  override async connect(agent: ClientAgent): Promise<void> {
    void this.book.onAgent(agent);
    await this.book.connect('agent', agent.sessionState.origin.sessionId);
  }
  override disconnect(agent: ClientAgent): void {
    this.book.disconnect('agent', agent.sessionState.origin.sessionId);
  }
}

class Sessions extends SessionLearner {
  constructor(private readonly book: Book) {
    super();
  }
  override onConnect({ clientId }: Session): Promise<void> {
    return this.book.connect('session', clientId);
  }
  override onDisconnect({ clientId }: Session): void {
    this.book.disconnect('session', clientId);
  }
}

@Controller()
class Events {
  constructor(private readonly book: Book) {}

  @OnConnect()
  connected(@ClientSession() { clientId }: Session): Promise<void> {
    return this.book.connect('event', clientId);
  }

  @OnDisconnect()
  disconnected(@ClientSession() { clientId }: Session): void {
    this.book.disconnect('event', clientId);
  }
}

/** Every client is the same user. */
class OneUser extends HandshakeHandler {
  override handshake(): { userId: string } {
    return { userId: 'ada' };
  }
}

describe.each(LINKS)('clients that leave while they are welcomed, over %s', (name: LinkName) => {
  let links: LinkSupply;
  let cluster: TestCluster;
  let book: Book;

  beforeAll(async () => {
    links = await LinkSupply.open(name);
  });
  afterAll(() => links.close());
  afterEach(() => cluster.close());

  async function start(gate: GateOptions = {}, handshake?: Type<HandshakeHandler>): Promise<void> {
    book = new Book();
    cluster = await createTestCluster({
      workers: 2,
      handlers: { controllers: [Events], providers: [{ provide: Book, useValue: book }] },
      link: await links.forCluster(1),
      gate: {
        maxConnectionsPerIp: 0,
        maxConnectionRate: 0,
        ...gate,
        providers: [
          { provide: AgentLearner, useValue: new Agents(book) },
          { provide: SessionLearner, useValue: new Sessions(book) },
          ...(handshake ? [{ provide: HandshakeHandler, useClass: handshake }] : []),
        ],
      },
    });
  }

  /** Connects, and leaves after so long; never, unless given. Resolves when the connection has ended. */
  function visit(afterMs?: number): Promise<void> {
    const socket = new WebSocket(cluster.gate.url, { perMessageDeflate: false });
    socket.on('error', () => undefined);
    if (afterMs !== undefined) socket.on('open', () => setTimeout(() => socket.terminate(), afterMs));
    return new Promise(resolve => socket.on('close', () => resolve()));
  }

  const lanes = (): number =>
    cluster.workers.map(({ app }) => app.get(GateTransport).load().clients).reduce((sum, clients) => sum + clients);

  /** Each hook was called in pairs or not at all, and nothing is left of any client. */
  async function expectPairs(clients: number): Promise<Record<Hook, number>> {
    const { app } = cluster.gate;
    await waitUntil('all clients to be gone', () => app.get(Delegater).getAgentNum() === 0);
    await waitUntil('the hooks to be called', () => book.orders('agent')['<>-'] === clients);
    await waitUntil('the lanes to be gone', () => lanes() === 0);
    // Whatever comes after its disconnect hook comes now.
    await pause(2 * HOOK_MS);
    const calls = { agent: 0, session: 0, event: 0 };
    for (const hook of ['agent', 'session', 'event'] as const) {
      const orders = book.orders(hook);
      expect(Object.keys(orders)).toEqual(orders['<>-'] ? ['<>-'] : []);
      calls[hook] = orders['<>-'] ?? 0;
    }
    expect(lanes()).toBe(0);
    const directory = app.get(WorkerDirectory);
    expect(directory.workersOf('$connect').map(worker => directory.clientsOf(worker))).toEqual([0, 0]);
    expect(await cluster.api.getAllUidList()).toEqual([]);
    return calls;
  }

  it('during onConnect', async () => {
    await start();
    book.slow.add('session');
    await Promise.all(Array.from({ length: ROUNDS }, (_, n) => visit((n * 1.3 * HOOK_MS) / ROUNDS)));
    const calls = await expectPairs(ROUNDS);
    expect(calls.session).toBe(ROUNDS);
    // Those that had left when onConnect ended: no worker has heard of them.
    expect(calls.event).toBeLessThan(ROUNDS);
  });

  it('during @OnConnect', async () => {
    await start();
    book.slow.add('event');
    await Promise.all(Array.from({ length: ROUNDS }, (_, n) => visit((n * 1.3 * HOOK_MS) / ROUNDS)));
    const calls = await expectPairs(ROUNDS);
    expect(calls.session).toBe(ROUNDS);
    expect(calls.event).toBeGreaterThan(0);
  });

  it('closed by AgentLearner.connect, at once or soon', async () => {
    await start();
    book.slow.add('agent').add('session');
    let round = 0;
    book.onAgent = async agent => {
      const n = round++;
      if (n % 2 > 0) await pause((n * 2.5 * HOOK_MS) / ROUNDS);
      agent.close(4100, 'not you');
    };
    await Promise.all(Array.from({ length: ROUNDS }, () => visit()));
    const calls = await expectPairs(ROUNDS);
    expect(calls.session).toBeLessThanOrEqual(ROUNDS / 2);
  });

  it('replaced by another login', async () => {
    await start({ login: 'replace' }, OneUser);
    book.slow.add('session').add('event');
    const visits = Array.from({ length: ROUNDS }, (_, n) =>
      pause(n * 5).then(() => visit(n < ROUNDS - 1 ? undefined : 250)),
    );
    await Promise.all(visits);
    await expectPairs(ROUNDS);
  });
});
