import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { NatsLink } from '@nestgate/link/nats';
import { linkConformance } from './link-conformance.js';
import { NatsProcess } from './nats-process.js';

let server: NatsProcess;
/** Clusters of different namespaces share the server, and do not see each other. */
let cluster = 1;

beforeAll(async () => {
  server = await NatsProcess.start();
});
afterAll(() => server.end());

linkConformance(
  'nats',
  { describe, it, afterEach, expect },
  {
    createLink: () => new NatsLink({ url: server.url, namespace: `cluster-${cluster}` }),
    reset: () => {
      cluster++;
    },
  },
);
