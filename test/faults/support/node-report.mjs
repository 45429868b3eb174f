import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { LinkNode } from '@nestgate/link';
import { LoopWatch } from '@nestgate/testing';
import { GatewayApi } from '@nestgate/worker';
import { setClock } from './clock.mjs';

/**
 * Lets the test that has started this process ask how it is, and push through it. The process ends when the test does.
 *
 * @param app the Nest app of this process
 * @param more gives what only this kind of node has to tell
 */
export function reportTo(app, more = () => ({})) {
  const node = app.get(LinkNode);
  const api = app.get(GatewayApi);
  const lag = new LoopWatch();
  const answers = {
    state: () => {
      const { user, system } = process.cpuUsage();
      const { p99: lagP99, max: lagMax } = lag.take();
      const loop = { lagP99, lagMax, cpuMs: (user + system) / 1e3 };
      return { counters: node.counters, peers: [...node.peers.keys()], ...loop, ...more() };
    },
    clock: ({ ms }) => setClock(ms),
    heap: () => {
      setFlagsFromString('--expose-gc');
      const collect = runInNewContext('gc');
      // Buffers that the first round finds are freed beside it, and counted as free by the second.
      collect();
      collect();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    },
    push: async ({ group, topic, body }) => {
      try {
        await api.sendToGroup(group, topic, body);
        return undefined;
      } catch (error) {
        return error.code ?? 'NO_CODE';
      }
    },
  };
  process.on('message', async ({ ask, what, args }) => {
    const answer = await answers[what](args);
    process.send?.({ ask, answer });
  });
  process.on('disconnect', () => process.exit(1));
}
