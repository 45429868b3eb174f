import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { TcpLink } from '@nestgate/link';
import { linkConformance } from './link-conformance.js';
import { TcpRelay } from '../network/tcp-relay.js';
import { type NodeFiles, TestAuthority } from '../processes/test-authority.js';

let authority: TestAuthority;
let gateFiles: NodeFiles;
let workerFiles: NodeFiles;
let gates: TcpLink[] = [];
/** What stands between each node and the gates that it dials. */
let relays: [id: string, relay: TcpRelay][] = [];

beforeAll(() => {
  authority = new TestAuthority();
  gateFiles = authority.issue('gate');
  workerFiles = authority.issue('worker');
});
afterAll(() => authority.remove());

/** No secret: the certificates are enough. */
linkConformance(
  'tcp with TLS',
  { describe, it, afterEach, expect },
  {
    async createLink(role, id) {
      if (role === 'gate') {
        const gate = new TcpLink({ url: 'tcp://127.0.0.1:0', tls: gateFiles });
        gates.push(gate);
        return gate;
      }
      const between = await Promise.all(gates.map(gate => TcpRelay.start(gate.address?.port ?? 0)));
      for (const relay of between) relays.push([id, relay]);
      return new TcpLink({
        url: `tcp://${between.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
        tls: workerFiles,
      });
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
