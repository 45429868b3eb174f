import { afterEach, describe, expect, it } from '@jest/globals';
import { TcpLink } from '@nestgate/link';
import { linkConformance } from './link-conformance.js';

const secret = 'a secret of the tests';
let gates: TcpLink[] = [];

/** Gates listen on free ports, so they are made first; whoever comes later dials those that there are. */
linkConformance(
  'tcp',
  { describe, it, afterEach, expect },
  {
    createLink(role) {
      const addresses = gates.map(gate => `127.0.0.1:${gate.address?.port}`).join(',');
      if (role !== 'gate') return new TcpLink({ url: `tcp://${addresses}`, secret });
      const gate = new TcpLink({ url: 'tcp://127.0.0.1:0', secret });
      gates.push(gate);
      return gate;
    },
    reset() {
      gates = [];
    },
  },
);
