import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { AgentLearner, type ClientAgent } from '@nestgate/gate';
import { type BinaryClient, waitUntil } from '@nestgate/testing';
import { BinaryBench, NETWORKS } from '../support/binary-support.js';

/** Names close codes where an application first can. */
@Injectable()
class ClosingLearner extends AgentLearner {
  static readonly agents: ClientAgent[] = [];
  static onConnect: (agent: ClientAgent) => void = () => undefined;

  override connect(agent: ClientAgent): void {
    ClosingLearner.agents.push(agent);
    ClosingLearner.onConnect(agent);
  }

  override disconnect(): void {}
}

describe.each(NETWORKS)('a close code that cannot be sent, over %s', network => {
  let bench: BinaryBench;

  afterEach(async () => {
    ClosingLearner.agents.length = 0;
    ClosingLearner.onConnect = () => undefined;
    await bench.close();
  });

  it('is refused, and the client stays as it was', async () => {
    bench = await BinaryBench.start({ providers: [{ provide: AgentLearner, useClass: ClosingLearner }] });
    const client = await bench.connect(network);
    // Over TCP the client is connected before the gate knows of it.
    const agent = await waitUntil('the agent', () => ClosingLearner.agents[0]);
    for (const code of [1004, 1005, 1006, 1015, 999, 5000, NaN]) {
      // With something queued, the code would be sent out of a callback of the socket.
      agent.sendPack('a/b', 'queued');
      expect(() => agent.close(code, 'bye')).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
    }
    expect([agent.isClosed, agent.error]).toEqual([false, undefined]);
    await expectEcho(client);
    expect(bench.counters.snapshot()['connections_closed']).toBeUndefined();
    agent.close(4999, 'x'.repeat(1_000));
    await client.closed;
    expect(agent.error).toEqual({ code: 4999, reason: 'x'.repeat(123) });
    if (network === 'ws') expect(client.closedWith).toEqual({ code: 4999, reason: 'x'.repeat(123) });
  });

  it('in a hook is an error of the hook', async () => {
    ClosingLearner.onConnect = agent => agent.close(1006);
    bench = await BinaryBench.start({ providers: [{ provide: AgentLearner, useClass: ClosingLearner }] });
    const client = await bench.connect(network);
    await expectEcho(client);
  });
});

async function expectEcho(client: BinaryClient): Promise<void> {
  client.send('echo/echo', 'still here');
  await waitUntil('the echo', () => client.pushes('echo/echo')[0]);
  expect(client.pushes('echo/echo')[0]?.body.toString()).toBe('still here');
}
