import { afterEach, describe, expect, it } from '@jest/globals';
import { TcpLink } from '@nestgate/link';
import { linkConformance } from './link-conformance.js';
import { TcpRelay } from '../network/tcp-relay.js';

const secret = 'a secret of the tests';
let gates: TcpLink[] = [];
/** What stands between each node and the gates that it dials. */
let relays: [id: string, relay: TcpRelay][] = [];

/** Gates listen on free ports and are created first; later nodes dial the existing gates. */
linkConformance(
  'tcp',
  { describe, it, afterEach, expect },
  {
    async createLink(role, id) {
      if (role === 'gate') {
        const gate = new TcpLink({ url: 'tcp://127.0.0.1:0', secret });
        gates.push(gate);
        return gate;
      }
      const between = await Promise.all(gates.map(gate => TcpRelay.start(gate.address?.port ?? 0)));
      for (const relay of between) relays.push([id, relay]);
      return new TcpLink({ url: `tcp://${between.map(({ port }) => `127.0.0.1:${port}`).join(',')}`, secret });
    },
    async reset() {
      gates = [];
      for (const [, relay] of relays) await relay.end();
      relays = [];
    },
    async sever(id) {
      for (const [node, relay] of relays) if (node === id) await relay.end();
    },
  },
);
