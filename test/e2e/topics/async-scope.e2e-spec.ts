import { AsyncLocalStorage } from 'node:async_hooks';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type CanActivate,
  Controller,
  type NestInterceptor,
  type Provider,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import type { CallHandler, ExecutionContext } from '@nestjs/common';
import {
  AgentLearner,
  HandshakeHandler,
  type HandshakeRequest,
  type HandshakeResult,
  type IncomingPack,
  RecvPackHandler,
  RouteHandler,
  SendMessageHook,
  SessionLearner,
  StorageHandler,
  WorkerChoice,
} from '@nestgate/gate';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { GatewayApi, OnConnect, OnDisconnect, OnPresence, OnTopic, type Session } from '@nestgate/worker';
import { Payload } from '@nestjs/microservices';
import { LINKS, type LinkName, LinkSupply } from '../support/links.js';

const store = new AsyncLocalStorage<string>();
/** What each place of application code has seen when it was called, and has entered then. */
const visits: { readonly place: string; readonly saw: string | undefined }[] = [];
let lastVisit = 0;

/** Notes what is there already, and enters a store, as `enterWith` of the tracing and context libraries does. */
function visit(place: string): string {
  visits.push({ place, saw: store.getStore() });
  const entered = `${place} ${++lastVisit}`;
  store.enterWith(entered);
  return entered;
}

/** The store that was entered must be there for all that follows from it, and must be the one that was entered. */
async function visitAndStay(place: string): Promise<void> {
  const entered = visit(place);
  await new Promise(resolve => setImmediate(resolve));
  if (store.getStore() !== entered) visits.push({ place: `later in ${place}`, saw: store.getStore() });
}

class Guard implements CanActivate {
  canActivate(): boolean {
    visit('guard');
    return true;
  }
}

class Interceptor implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler) {
    visit('interceptor');
    return next.handle();
  }
}

@Controller()
class Topics {
  constructor(private readonly gateway: GatewayApi) {}

  /** Has no guard, pipe, interceptor or filter: Nest's pipeline is not in between. */
  @OnTopic('scope/plain')
  plain(): number {
    visit('plain');
    return 1;
  }

  @OnTopic('scope/later')
  async later(): Promise<void> {
    await visitAndStay('later');
  }

  @OnTopic('scope/beside', { concurrent: true })
  beside(): void {
    visit('beside');
  }

  @UseGuards(Guard)
  @OnTopic('scope/guarded')
  guarded(@Payload() body: unknown): unknown {
    return body;
  }

  @UseInterceptors(Interceptor)
  @OnTopic('scope/intercepted')
  intercepted(): void {}

  @OnTopic('scope/push')
  async push(): Promise<void> {
    visit('push');
    await this.gateway.sendToAll('scope/news', {}, undefined, undefined, { confirm: true });
  }

  @OnConnect()
  connected(): void {
    visit('OnConnect');
  }

  @OnDisconnect()
  disconnected(): void {
    visit('OnDisconnect');
  }

  @OnPresence()
  seen(): void {
    visit('OnPresence');
  }
}

class Handshake extends HandshakeHandler {
  override handshake(request: HandshakeRequest): HandshakeResult {
    visit('HandshakeHandler');
    return { userId: request.query['uid'] };
  }
}

class Sessions extends SessionLearner {
  override onConnect(): void {
    visit('SessionLearner.onConnect');
  }

  override async onDisconnect(): Promise<void> {
    await visitAndStay('SessionLearner.onDisconnect');
  }
}

class Agents extends AgentLearner {
  override connect(): void {
    visit('AgentLearner.connect');
  }

  override disconnect(): void {
    visit('AgentLearner.disconnect');
  }
}

class Receiver extends RecvPackHandler {
  override onPack(_session: Session, pack: IncomingPack): void {
    visit('RecvPackHandler');
    pack.forward();
  }
}

class Router extends RouteHandler {
  override async onRoute(): Promise<boolean> {
    await visitAndStay('RouteHandler');
    return false;
  }
}

class Sender extends SendMessageHook {
  override onSend(_session: Session, _topic: string, body: unknown): unknown {
    visit('SendMessageHook');
    return body;
  }
}

class Choice extends WorkerChoice {
  override choose(): undefined {
    visit('WorkerChoice');
  }
}

class Storage extends StorageHandler {
  override query(): Promise<undefined> {
    visit('StorageHandler.query');
    return Promise.resolve(undefined);
  }

  override storage(): Promise<void> {
    visit('StorageHandler.storage');
    return Promise.resolve();
  }

  override delete(): Promise<void> {
    return Promise.resolve();
  }

  override heartbeat(): Promise<void> {
    return Promise.resolve();
  }
}

const HOOKS = [
  { provide: HandshakeHandler, useClass: Handshake },
  { provide: SessionLearner, useClass: Sessions },
  { provide: AgentLearner, useClass: Agents },
  { provide: SendMessageHook, useClass: Sender },
  { provide: WorkerChoice, useClass: Choice },
  { provide: StorageHandler, useClass: Storage },
];
const PACK_HOOKS = [
  { provide: RecvPackHandler, useClass: Receiver },
  { provide: RouteHandler, useClass: Router },
];
const TOPICS = ['plain', 'later', 'beside', 'guarded', 'intercepted', 'push'].map(name => `scope/${name}`);

describe.each(LINKS)('the async context of application code, over %s', (name: LinkName) => {
  let links: LinkSupply;
  let cluster: TestCluster;

  beforeAll(async () => {
    links = await LinkSupply.open(name);
  });
  afterAll(() => links.close());
  beforeEach(() => {
    visits.length = 0;
  });
  afterEach(() => cluster.close());

  async function start(workers: number, providers: Provider[]): Promise<void> {
    cluster = await createTestCluster({
      workers,
      handlers: { controllers: [Topics] },
      gate: { providers },
      link: await links.forCluster(1),
    });
  }

  /** Some frames at once, which reach their handlers in one batch, and one after the other. */
  async function speak(client: FakeClient): Promise<void> {
    await Promise.all(TOPICS.map(topic => client.request(topic, {})));
    for (const topic of TOPICS) await client.request(topic, {});
  }

  /** What code has seen that another call has entered. */
  const leaks = () => visits.filter(({ saw }) => saw !== undefined);

  it.each([0, 1])('is its own for each call (%d workers)', async workers => {
    await start(workers, HOOKS);
    const clients = await Promise.all(['ada', 'bob'].map(uid => cluster.connect({ path: `?uid=${uid}` })));
    await Promise.all(clients.map(speak));
    await Promise.all(clients.map(client => client.close()));
    const count = (place: string) => visits.filter(each => each.place === place).length;
    await waitUntil('the end of both', () => count('OnDisconnect') === 2 && count('OnPresence') === 4);
    await speak(await cluster.connect({ path: '?uid=cyd' }));
    const places = new Set(visits.map(({ place }) => place));
    const expected = [...HOOKS.map(({ provide }) => provide.name), 'OnConnect', 'OnDisconnect', 'OnPresence'];
    for (const place of [...expected, 'plain', 'later', 'beside', 'guard', 'interceptor', 'push']) {
      expect([place, [...places].some(each => each.startsWith(place))]).toEqual([place, true]);
    }
    expect(leaks()).toEqual([]);
  });

  it('is one for the hooks through which a frame comes', async () => {
    await start(1, PACK_HOOKS);
    const clients = [await cluster.connect(), await cluster.connect()];
    await Promise.all(clients.map(speak));
    // The RouteHandler looks at what the RecvPackHandler has forwarded: both are called for one frame.
    const strange = leaks().filter(
      ({ place, saw }) => place !== 'RouteHandler' || !saw?.startsWith('RecvPackHandler '),
    );
    expect(strange).toEqual([]);
    expect(visits.filter(({ place }) => place === 'RouteHandler').length).toBe(2 * 2 * TOPICS.length);
  });
});
