import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type BinaryClient, FakeClient, waitUntil } from '@nestgate/testing';
import { BinaryBench, type Network, NETWORKS } from '../support/binary-support.js';
import { TestCertificates } from '../support/tls-support.js';

/** What comes to a port where TLS is spoken, and is none. */
const NO_TLS: readonly (readonly [what: string, bytes: Buffer])[] = [
  ['an upgrade', Buffer.from('GET /gate HTTP/1.1\r\nHost: gate.test\r\nUpgrade: websocket\r\n\r\n')],
  ['a pack', Buffer.from('0900030061 2f62 6869'.replaceAll(' ', ''), 'hex')],
  ['a record that ends before it says so', Buffer.from('160301000561', 'hex')],
  ['a record that is no handshake', Buffer.from('17030300050102030405', 'hex')],
  ['a handshake of nonsense', Buffer.from(`1603010020${'5a'.repeat(32)}`, 'hex')],
  ['a record of 64 kB', Buffer.concat([Buffer.from('160301ffff', 'hex'), Buffer.alloc(70_000)])],
  ['an alert', Buffer.from('15030100020228', 'hex')],
  ['NULs', Buffer.alloc(100)],
];

describe('a port of the gate with TLS', () => {
  const certificates = new TestCertificates();
  let bench: BinaryBench;
  let neighbours: { readonly json: FakeClient; readonly pack: BinaryClient };

  beforeAll(async () => {
    const tls = certificates.make('server');
    const ca = certificates.read(tls.certFile);
    bench = await BinaryBench.start({ tls, ws: { port: 0 }, overTime: 1_000 });
    neighbours = {
      json: await FakeClient.connect(`wss://127.0.0.1:${bench.gate.wsPort}/gate`, { ca }),
      pack: await bench.connect('tcp', { tls: { ca } }),
    };
  });
  afterAll(async () => {
    neighbours.json.socket.terminate();
    await bench.close();
    certificates.remove();
  });

  /** All refusals, under whatever label. */
  function refused(): number {
    const counts = bench.counters.snapshot()['handshakes_refused'] ?? {};
    return Object.values(counts).reduce((sum, count) => sum + count, 0);
  }

  async function exchange(what: string): Promise<void> {
    expect(await neighbours.json.request('echo/echo', what)).toBe(what);
    neighbours.pack.send('echo/echo', what);
    await neighbours.pack.push('echo/echo', body => body.toString() === what);
  }

  const CASES = NETWORKS.flatMap(network => NO_TLS.map(([what, bytes]) => [network, what, bytes] as const));

  it.each(CASES)('over %s closes for %s, and nobody else notices', async (network: Network, what, bytes) => {
    await exchange(`before ${network} ${what}`);
    const before = refused();
    const port = network === 'ws' ? (bench.gate.wsPort as number) : bench.tcpPort;
    const socket = connect({ port, host: '127.0.0.1' });
    // The gate may close before it has read all: then the client gets an error first, which is not what is asked here.
    const closed = new Promise(resolve => {
      socket.on('error', () => undefined).on('close', resolve);
    });
    socket.resume().write(bytes);
    await closed;
    await waitUntil('the count', () => refused() > before);
    expect(refused()).toBe(before + 1);
    await bench.left(2);
    await exchange(`after ${network} ${what}`);
  });
});
