import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { LinkNode, TcpLink } from '@nestgate/link';
import { type Operation, PendingCall, sessionContract, type SessionContract } from '@nestgate/link/internal';
import { BodyKind } from '@nestgate/protocol';
import { createTestCluster, type FakeClient, freePort, type TestCluster, waitUntil } from '@nestgate/testing';
import { nodeInfo, RawLinkPeer, WIRE } from '../support/raw-link-peer.js';
import { countersOf, withNeighbour } from '../support/raw-neighbour.js';

const SECRET = 'a secret of the tests';
const BODY = { kind: BodyKind.json, bytes: Buffer.from('1') } as const;
const TOPICS = [
  '',
  '*',
  'a"b',
  'a\\',
  'a\r\nb',
  'é',
  '\ud800',
  '$gate/hello',
  '$gate/pong',
  'x'.repeat(129),
  'x'.repeat(70_000),
];
const NAMES = ['', 'x'.repeat(129), 'a\nb', '\u0000', '\u007f', '\u001b[31m'];

const REFUSED = 'BAD_ARGUMENT';
const TOO_LARGE = { a: 'x'.repeat(20_000) };

/** An operation on the current client that no honest node asks for, and the code that it is refused with. */
type Row = readonly [what: string, operation: keyof SessionContract, args: object, code: string];

describe('a worker that asks for what no worker asks for', () => {
  let cluster: TestCluster;
  let insider: LinkNode;
  let client: FakeClient;
  let port: number;

  beforeAll(async () => {
    port = await freePort();
    const url = `tcp://127.0.0.1:${port}`;
    cluster = await createTestCluster({
      handlers: { imports: [HandlersModule] },
      gate: { maxConnectionsPerIp: 0, messageRate: 0 },
      workers: 1,
      link: () => new TcpLink({ url, secret: SECRET }),
    });
    insider = new LinkNode({ link: new TcpLink({ url, secret: SECRET }), self: nodeInfo('w9') });
    await insider.open();
    await waitUntil('the two to meet', () => gate() !== undefined && peers().has('w9'));
  });
  afterAll(async () => {
    await insider.close({ drain: false });
    await cluster.close();
  });

  const gateNode = (): LinkNode => cluster.gate.app.get(LinkNode);
  const peers = (): LinkNode['peers'] => gateNode().peers;
  const gate = () => insider.peers.get(gateNode().info.id);

  /** Asks the gate, and resolves with the code of its refusal. */
  async function codeOf(name: keyof SessionContract, args: object, more: object = {}): Promise<string> {
    const peer = gate();
    if (!peer) throw new Error('The insider has lost the gate');
    const operation = { ...sessionContract[name], ...more } as Operation<unknown, unknown>;
    const pending = new PendingCall(operation);
    peer.request(operation, args, pending, performance.now() + 5_000);
    return pending.promise.then(
      value => `no refusal: ${JSON.stringify(value)}`,
      (error: { code: string }) => error.code,
    );
  }

  /** Runs a case beside a neighbour, with a client that must be the same afterwards, and must not hear of it. */
  function beside(run: (clientId: string) => Promise<void>): Promise<void> {
    return withNeighbour(cluster, async () => {
      client = await cluster.connect();
      await client.request('chat/login', { name: 'ada' });
      await client.request('fan/join', { group: 'lobby' });
      const before = await client.request('session/get');
      client.frames.length = 1;
      try {
        await run(client.clientId);
        expect(await client.request('session/get')).toEqual(before);
        expect(client.frames.filter(({ topic }) => topic !== undefined)).toHaveLength(1);
        expect(await cluster.api.getAllGroupIdList()).toEqual(['lobby']);
      } finally {
        await client.close();
      }
    });
  }

  it.each(['send', 'broadcast', 'sendToUid', 'sendToGroup', 'close'] as const)(
    'and pushes on what is no topic by "%s" is refused and counted',
    name =>
      beside(async clientId => {
        const refused = (): number => countersOf(cluster).get('packs_dropped', 'topic');
        for (const topic of TOPICS) {
          const before = refused();
          const message = { topic, body: BODY };
          const targets = { clientId, clientIds: [clientId], uids: ['ada'], groups: ['lobby'] };
          expect([topic, await codeOf(name, { ...targets, ...message, message })]).toEqual([topic, 'BAD_TOPIC']);
          expect(refused()).toBe(before + 1);
        }
      }),
  );

  const rowsOf = (what: string, operation: Row[1], field: string, more: object = {}): Row[] =>
    NAMES.map(name => [`${what} ${JSON.stringify(name.slice(0, 9))}`, operation, { [field]: name, ...more }, REFUSED]);

  it.each<Row>([
    ...rowsOf('the uid', 'bind', 'userId'),
    ...rowsOf('the group', 'joinGroup', 'group'),
    ...rowsOf('the key', 'set', 'key', { value: 1 }),
    ['settings that are too large', 'push', { settings: TOO_LARGE }, 'LIMIT_EXCEEDED'],
    ['settings in place of others, too large', 'replace', { settings: TOO_LARGE }, 'LIMIT_EXCEEDED'],
    ['settings that are null', 'replace', { settings: null }, 'BAD_ARGUMENT'],
  ])('and has %s is refused with a code', (_what, operation, args, code) =>
    beside(async clientId => {
      expect(await codeOf(operation, { clientId, ...args })).toBe(code);
    }),
  );

  it('by a number that no operation has is told so', () =>
    beside(async clientId => {
      expect(await codeOf('load', { clientId }, { id: 9_999 })).toBe('UNKNOWN_OPERATION');
    }));

  it.each(['', 'nobody', 'g.1', '..', 'x'.repeat(300), '__proto__', 'w9.x.1'])(
    'about a client that is not there (%j) hears so',
    clientId =>
      beside(async () => {
        for (const name of ['load', 'bind', 'push', 'destroy', 'close', 'joinGroup'] as const) {
          const args = { clientId, userId: 'eve', settings: {}, group: 'lobby', message: undefined };
          expect(await codeOf(name, args)).toBe('SESSION_NOT_FOUND');
        }
      }),
  );

  it('answers what it was not asked: each answer is counted, and nobody gets it', () =>
    beside(async () => {
      const peer = await RawLinkPeer.dial(port, SECRET);
      await peer.join(nodeInfo('w8'));
      const before = gateNode().counters.late;
      const answers = Array.from({ length: 100 }, (_, i) => answerTo(i, i % 2));
      peer.send(WIRE.frame, Buffer.concat([head(), ...answers]));
      await waitUntil('the count', () => gateNode().counters.late === before + answers.length);
      peer.socket.destroy();
      await waitUntil('the gate to lose it', () => !peers().has('w8'));
    }));

  /** What a batch begins with. */
  function head(): Buffer {
    const bytes = Buffer.alloc(13);
    bytes[0] = 2;
    bytes.writeDoubleLE(Date.now(), 5);
    return bytes;
  }

  /** That a request went well, and had no result. */
  function answerTo(slot: number, generation: number): Buffer {
    const bytes = Buffer.alloc(4 + 1 + 2 + 12 + 1 + 1);
    bytes.writeUInt32LE(bytes.length - 4);
    bytes[4] = 2;
    bytes.writeUInt32LE(generation, 11);
    bytes.writeUInt32LE(slot, 15);
    return bytes;
  }
});
