import type { LinkNode } from '@nestgate/link';

/** Without news of another gate for so long, all are known that are there, in milliseconds. */
const QUIET_MS = 200;
/** How long to wait in all: no longer than a heartbeat of the link, in milliseconds. */
const LIMIT_MS = 1_000;

/**
 * Resolves when a node that has just joined knows the gates. Links without a list of them, such as NATS, are told of gates
 * only after joining; a question that is asked before would be answered as if there were none.
 */
export function whenGatesAreKnown(node: LinkNode): Promise<void> {
  return new Promise(resolve => {
    const finish = () => {
      stop();
      clearTimeout(limit);
      clearTimeout(quiet);
      resolve();
    };
    const stop = node.onPeer(change => {
      if (!('node' in change) || change.node.role !== 'gate') return;
      clearTimeout(quiet);
      quiet = setTimeout(finish, QUIET_MS);
    });
    const limit = setTimeout(finish, LIMIT_MS);
    const hasGates = [...node.peers.values()].some(peer => peer.info.role === 'gate');
    let quiet = hasGates ? setTimeout(finish, QUIET_MS) : undefined;
  });
}
