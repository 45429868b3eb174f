import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createTestCluster, TcpRelay, type TestCluster, waitUntil } from '@nestgate/testing';
import { ClientTopics } from './client-support.js';

/** Node has a WebSocket of its own from 22 on. */
const KINDS = Number(process.versions.node.split('.')[0]) >= 22 ? ['global', 'ws'] : ['ws'];

describe('the client in a process of this version of Node', () => {
  let cluster: TestCluster;
  let relay: TcpRelay;

  beforeEach(async () => {
    cluster = await createTestCluster({ handlers: { controllers: [ClientTopics] }, gate: { resume: {} } });
    relay = await TcpRelay.start(cluster.gates[0]!.port);
  });
  afterEach(async () => {
    await relay.end();
    await cluster.close();
  });

  it.each(KINDS)('with the WebSocket %s goes on with its session, and ends by itself after close', async kind => {
    const args = ['test/fixtures/client-node.mjs', `ws://127.0.0.1:${relay.port}/gate`, kind];
    const child = spawn(process.execPath, args, {
      env: { ...process.env, NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exit = once(child, 'exit');
    try {
      const lines: unknown[] = [];
      createInterface(child.stdout).on('line', line => lines.push(JSON.parse(line)));
      const { clientId, echo } = await waitUntil('the client', () => lines[0] as { clientId: string; echo: string });
      expect(echo).toBe('hi');
      for (const body of [1, 2]) await cluster.api.sendToClient(clientId, 'room/said', body);
      relay.cut();
      for (const body of [3, 4]) await cluster.api.sendToClient(clientId, 'room/said', body);
      expect(await exit).toEqual([0, null]);
      expect(lines[1]).toEqual({ heard: [1, 2, 3, 4], resumes: 1, gaps: 0, errors: 0, state: 'idle' });
    } finally {
      child.kill('SIGKILL');
    }
  });
});
