import { afterEach, describe, expect, it } from '@jest/globals';
import { AgentCreator, type AgentHost, ClientAgent, type Connection, Delegater, type Wire } from '@nestgate/gate';
import { HandlersModule } from '@nestgate-app/handlers';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { Injectable } from '@nestjs/common';

/** An agent that notes the sizes of what its client sends. */
class MeasuringAgent extends ClientAgent {
  readonly sizes: number[] = [];

  override onFrame(data: Buffer): void {
    this.sizes.push(data.length);
    super.onFrame(data);
  }
}

@Injectable()
class MeasuringCreator extends AgentCreator {
  override create(
    host: AgentHost,
    serial: number,
    session: ClientAgent['sessionState'],
    connection: Connection,
    wire: Wire,
  ): ClientAgent {
    return new MeasuringAgent(host, serial, session, connection, wire);
  }
}

@Injectable()
class FailingCreator extends AgentCreator {
  failures = 1;

  override create(...args: Parameters<AgentCreator['create']>): ClientAgent {
    if (this.failures-- > 0) throw new Error('no agent');
    return super.create(...args);
  }
}

describe('AgentCreator', () => {
  let cluster: TestCluster;

  afterEach(() => cluster.close());

  it('may make agents of the application’s own', async () => {
    cluster = await createTestCluster({
      handlers: { imports: [HandlersModule] },
      gate: { providers: [{ provide: AgentCreator, useClass: MeasuringCreator }] },
    });
    const client = await cluster.connect();
    client.sendRaw('{"topic":"echo/echo","body":1,"id":1}');
    expect((await client.answer(1)).body).toBe(1);
    const [agent] = cluster.gate.app.get(Delegater).sessions();
    expect((agent as MeasuringAgent).sizes).toEqual([37]);
  });

  it('that throws ends its connection with 1011, and gives its place back', async () => {
    cluster = await createTestCluster({
      gate: { maxConnections: 1, providers: [{ provide: AgentCreator, useClass: FailingCreator }] },
    });
    const failed = await cluster.connect();
    expect((await failed.closed).code).toBe(1011);
    // The server may see the end of the connection a moment later than the client.
    const client = await waitUntil('a free place', () => cluster.connect().catch(() => undefined));
    expect(client.closedWith).toBeUndefined();
  });
});
