import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { NatsLink } from '@nestgate/link/nats';
import { linkConformance } from './link-conformance.js';
import { NatsProcess } from '../processes/nats-process.js';
import { TcpRelay } from '../network/tcp-relay.js';

/** The users and permissions that the docs tell people to copy. */
const page = readFileSync(join(process.cwd(), 'docs/nats.md'), 'utf8');
const [, permissions = ''] = /^```\n(authorization \{[\s\S]*?)^```$/m.exec(page) ?? [];
const passwords = 'GATE_PASSWORD: for-gates\nWORKER_PASSWORD: for-workers\nAPI_PASSWORD: for-services\n';

describe.each([
  { name: 'nats', config: '', users: {}, namespaces: true },
  {
    name: 'nats, with the permissions of the docs',
    config: passwords + permissions,
    users: { gate: 'gate:for-gates@', worker: 'worker:for-workers@', api: 'api:for-services@' },
    namespaces: false,
  },
])('$name', ({ name, config, users, namespaces }) => {
  let server: NatsProcess;
  /** Clusters of different namespaces share the server, and do not see each other. */
  let cluster = 1;
  /** What each node reaches the server by, the last one of an id at the end. */
  const relays: { readonly id: string; readonly relay: TcpRelay }[] = [];
  const warnings: string[] = [];

  beforeAll(async () => {
    server = await NatsProcess.start({ config });
  });
  afterEach(() => {
    expect(warnings.splice(0)).toEqual([]);
  });
  afterAll(() => server.end());

  linkConformance(
    name,
    { describe, it, afterEach, expect },
    {
      async createLink(role, id) {
        const relay = await TcpRelay.start(server.port);
        relays.push({ id, relay });
        const user = (users as Partial<Record<typeof role, string>>)[role] ?? '';
        return new NatsLink({
          url: `nats://${user}127.0.0.1:${relay.port}`,
          namespace: namespaces ? `cluster-${cluster}` : undefined,
          onWarning: message => warnings.push(message),
        });
      },
      async reset() {
        cluster++;
        for (const { relay } of relays.splice(0)) await relay.end();
      },
      sever: id => relays.findLast(entry => entry.id === id)?.relay.end(),
    },
  );
});
