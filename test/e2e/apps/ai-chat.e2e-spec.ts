import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { connect, type GateClient } from '@nestgate/client';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { GateTransport } from '@nestgate/worker';
import { WebSocket } from 'ws';
import type { ai } from '../../../examples/ai-chat/src/ai.contract.js';
import { AppModule } from '../../../examples/ai-chat/src/app.module.js';

describe('examples/ai-chat', () => {
  let cluster: TestCluster;
  let gate: GateClient<typeof ai>;
  const sockets: WebSocket[] = [];

  beforeAll(async () => {
    cluster = await createTestCluster({ gateModule: AppModule });
    class Watched extends WebSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        sockets.push(this);
      }
    }
    gate = connect<typeof ai>(cluster.gates[0]?.url ?? '', { WebSocket: Watched as never });
  });
  afterAll(async () => {
    gate.close();
    await cluster.close();
  });

  const streams = () => cluster.gates[0]?.app.get(GateTransport).load().streams;

  it('streams an answer, over a connection that is lost in the middle of it', async () => {
    let answer = '';
    for await (const token of gate.stream('ai/ask', { prompt: 'how are you?' })) {
      answer += token;
      if (answer.endsWith(' 20 ') || answer.endsWith(' 60 ')) sockets.at(-1)?.terminate();
    }
    expect(sockets.length).toBeGreaterThanOrEqual(3);
    expect(answer).toContain('You asked: “how are you?” I am only a small model');
    expect(answer.trimEnd().split(' ').slice(-100)).toEqual(Array.from({ length: 100 }, (_, i) => `${i + 1}`));
  });

  it('stops the model when the reader does', async () => {
    const reading = new AbortController();
    const read = (async () => {
      for await (const _ of gate.stream('ai/ask', { prompt: 'hi' }, { signal: reading.signal }));
    })();
    await waitUntil('it runs', () => streams() === 1);
    await sleep(50);
    reading.abort();
    await expect(read).rejects.toMatchObject({ code: 'ABORTED' });
    await waitUntil('the model has stopped', () => streams() === 0);
  });

  it('refuses a prompt that is too long', async () => {
    const asking = gate.stream('ai/ask', { prompt: 'x'.repeat(2_001) }).next();
    await expect(asking).rejects.toMatchObject({ code: 'PROMPT_TOO_LONG' });
  });
});
