import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { Delegater } from '@nestgate/gate';
import {
  createTestCluster,
  type FakeClient,
  type TestCluster,
  type TestClusterOptions,
  waitUntil,
} from '@nestgate/testing';
import { ClientSession, OnTopic, Session } from '@nestgate/worker';

/** What the handlers of {@link ScriptTopics} do, told by a test, and what has reached them. */
export class Script {
  readonly seen: unknown[] = [];
  run: (session: Session, body: unknown) => unknown = () => undefined;
}

@Controller()
export class ScriptTopics {
  constructor(private readonly script: Script) {}

  @OnTopic('script/run')
  run(@Payload() body: unknown, @ClientSession() session: Session): unknown {
    return this.script.run(session, body);
  }

  @OnTopic('script/note')
  note(@Payload() body: unknown): unknown {
    this.script.seen.push(body);
    return body;
  }
}

/** A cluster of one gate whose handlers do what the test wants. */
export class Stage {
  private constructor(
    readonly cluster: TestCluster,
    readonly script: Script,
  ) {}

  static async open(workers: number, gate: TestClusterOptions['gate'] = {}): Promise<Stage> {
    const script = new Script();
    const handlers = { controllers: [ScriptTopics], providers: [{ provide: Script, useValue: script }] };
    return new Stage(await createTestCluster({ workers, handlers, gate }), script);
  }

  get delegater(): Delegater {
    return this.cluster.gate.app.get(Delegater);
  }

  /** The session that a handler of this client gets. It works on after the handler has ended, as any copy does. */
  async sessionInHandler(client: FakeClient): Promise<Session> {
    let copy: Session | undefined;
    this.script.run = session => void (copy = session);
    await client.request('script/run');
    return copy as Session;
  }

  /** Ends a client, and waits until the gate has noticed. */
  async lose(client: FakeClient): Promise<void> {
    const { clientId } = client;
    await client.close();
    await waitUntil('the client to be gone', async () => !(await this.delegater.connected(clientId)));
  }

  close(): Promise<void> {
    return this.cluster.close();
  }
}

/** Lets so many turns of the event loop pass: what is slower than something else, without a clock. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(resolve => setImmediate(resolve));
}

/** The codes with which these reject, or what they resolve with. */
export async function outcomes(attempts: readonly Promise<unknown>[]): Promise<unknown[]> {
  const settled = await Promise.allSettled(attempts);
  return settled.map(outcome =>
    outcome.status === 'rejected' ? (outcome.reason as { code?: unknown }).code : outcome.value,
  );
}
