import { LinkNode } from '@nestgate/link';
import { GatewayApi } from '@nestgate/worker';

/**
 * Lets the test that has started this process ask how it is, and push through it. The process ends when the test does.
 *
 * @param app the Nest app of this process
 * @param more gives what only this kind of node has to tell
 */
export function reportTo(app, more = () => ({})) {
  const node = app.get(LinkNode);
  const api = app.get(GatewayApi);
  const answers = {
    state: () => ({ counters: node.counters, peers: [...node.peers.keys()], ...more() }),
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
