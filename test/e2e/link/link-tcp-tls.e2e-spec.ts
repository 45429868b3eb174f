import { readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { TcpLink, type TcpLinkOptions, type TcpTlsOptions } from '@nestgate/link';
import { freePort, LinkProbe, type NodeFiles, TestAuthority, waitUntil } from '@nestgate/testing';
import { LinkCluster, onPorts } from '../support/link-cluster.js';
import { nodeInfo, RawLinkPeer } from '../support/raw-link-peer.js';

describe('the tcp link with TLS', () => {
  const cluster = new LinkCluster({});
  let authority: TestAuthority;
  let other: TestAuthority;
  let gateFiles: NodeFiles;
  let workerFiles: NodeFiles;
  let outsiderFiles: NodeFiles;
  let raw: RawLinkPeer[] = [];

  beforeAll(() => {
    authority = new TestAuthority('ours');
    other = new TestAuthority('theirs');
    gateFiles = authority.issue('gate');
    workerFiles = authority.issue('worker');
    outsiderFiles = other.issue('outsider');
  });
  afterAll(() => {
    authority.remove();
    other.remove();
  });
  afterEach(async () => {
    for (const { socket } of raw.splice(0)) socket.destroy();
    await cluster.end();
  });

  const open = (id: string, role: 'gate' | 'worker', options: TcpLinkOptions): Promise<LinkProbe> =>
    cluster.keep(new LinkProbe(new TcpLink(options), nodeInfo(id, role))).open();

  const openGate = (options: Partial<TcpLinkOptions> = {}): Promise<LinkProbe> =>
    open('g1', 'gate', { url: 'tcp://127.0.0.1:0', tls: gateFiles, ...options });

  const openWorker = (gate: LinkProbe, tls: TcpTlsOptions | undefined, rest: Partial<TcpLinkOptions> = {}) =>
    open('w1', 'worker', { url: `tcp://${onPorts(LinkCluster.portOf(gate))}`, tls, ...rest });

  const countersOf = (gate: LinkProbe) => (gate.link as TcpLink).counters;

  it('needs no secret, not even where others can reach the gate', async () => {
    const gate = await openGate({ url: 'tcp://0.0.0.0:0' });
    const worker = await openWorker(gate, workerFiles);
    await gate.meets('w1');
    expect(worker.knows('g1')).toBe(true);
    await expect(openGate({ url: 'tcp://0.0.0.0:0', tls: undefined })).rejects.toThrow('A secret or TLS is needed');
  });

  it('needs a secret of eight characters where others can reach the gate without TLS', async () => {
    for (const secret of ['x', 'secret', '1234567']) {
      await expect(openGate({ url: 'tcp://0.0.0.0:0', tls: undefined, secret })).rejects.toThrow('too short');
    }
    await openGate({ url: 'tcp://0.0.0.0:0', tls: undefined, secret: '12345678' });
  });

  it('takes a short secret with TLS, and on loopback', async () => {
    await openGate({ url: 'tcp://0.0.0.0:0', secret: 'x' });
    await openGate({ url: 'tcp://127.0.0.1:0', tls: undefined, secret: 'x' });
  });

  it('takes its files from the URL as well', async () => {
    const query = (files: NodeFiles) => `cert=${files.certFile}&key=${files.keyFile}&ca=${files.caFile}`;
    const port = await freePort();
    const gate = await openGate({ url: `tcp://127.0.0.1:${port}?${query(gateFiles)}`, tls: undefined });
    await open('w1', 'worker', { url: `tcp://127.0.0.1:${port}?${query(workerFiles)}` });
    await gate.meets('w1');
    expect(() => new TcpLink({ url: `tcp://127.0.0.1:1?${query(gateFiles)}`, tls: gateFiles })).toThrow('one of them');
  });

  it('checks the secret too when there is one', async () => {
    const gate = await openGate({ secret: 'right' });
    await expect(openWorker(gate, workerFiles, { secret: 'wrong' })).rejects.toThrow('The secret is not the same');
    await expect(openWorker(gate, workerFiles)).rejects.toThrow('The secret is not the same');
    await openWorker(gate, workerFiles, { secret: 'right' });
    await gate.meets('w1');
  });

  it('lets no node that knows no secret hand on what others prove', async () => {
    const gate = await openGate({ secret: 'right' });
    // A node of the cluster's authority, which stands where the worker looks for its gate.
    const middle = createTlsServer({ ...readFiles(workerFiles), requestCert: true }, near => {
      const far = connectTls({
        ...readFiles(workerFiles),
        port: LinkCluster.portOf(gate),
        checkServerIdentity: () => undefined,
      });
      near.on('error', () => far.destroy());
      far.on('error', () => near.destroy());
      near.pipe(far).pipe(near);
    });
    await new Promise<void>(resolve => middle.listen(0, '127.0.0.1', resolve));
    const { port } = middle.address() as AddressInfo;
    const options = { url: `tcp://${onPorts(port)}`, tls: workerFiles, secret: 'right' };
    await expect(open('w1', 'worker', options)).rejects.toThrow('The secret is not the same');
    middle.close();
    expect(gate.changes).toEqual([]);
    expect(countersOf(gate)?.unauthorized).toBe(1);
  });

  it('lets no worker start whose authority has not signed the gate', async () => {
    const gate = await openGate();
    await expect(openWorker(gate, outsiderFiles)).rejects.toMatchObject({
      code: 'BAD_ARGUMENT',
      message: `The certificate of ${onPorts(LinkCluster.portOf(gate))} is not trusted: SELF_SIGNED_CERT_IN_CHAIN`,
    });
    expect(gate.changes).toEqual([]);
  });

  it('lets in nobody with a certificate of another authority, or with none', async () => {
    const gate = await openGate();
    const worker = await openWorker(gate, { ...outsiderFiles, caFile: authority.caFile });
    await waitUntil('the refusal', () => (countersOf(gate)?.unauthorized ?? 0) > 0);
    const counted = countersOf(gate)?.unauthorized ?? 0;
    const bare = connectTls({
      port: LinkCluster.portOf(gate),
      ca: readFileSync(authority.caFile),
      checkServerIdentity: () => undefined,
    });
    bare.on('error', () => undefined);
    await waitUntil('the end', () => bare.destroyed);
    await waitUntil('the count', () => (countersOf(gate)?.unauthorized ?? 0) > counted);
    expect(gate.changes).toEqual([]);
    expect(worker.changes).toEqual([]);
  });

  it('checks the name or address that was dialled where it is told to', async () => {
    const files = authority.issue('named', 'DNS:gate.test,IP:127.0.0.1');
    const gate = await openGate({ tls: files });
    const port = LinkCluster.portOf(gate);
    const checked = { ...workerFiles, checkHost: true };
    const by = async (host: string): Promise<string> => {
      const link = new TcpLink(
        { url: `tcp://${host}:${port}`, tls: checked },
        { lookupAll: () => Promise.resolve(['127.0.0.1']) },
      );
      const probe = cluster.keep(new LinkProbe(link, nodeInfo('w1')));
      const outcome = await probe.open().then(
        () => [...probe.link.peers().keys()].join(),
        (error: Error) => error.message,
      );
      await link.close({ drain: true });
      return outcome;
    };
    expect(await by('gate.test')).toBe('g1');
    expect(await by('127.0.0.1')).toBe('g1');
    expect(await by('other.test')).toBe(
      `The certificate of other.test:${port} is not trusted: ERR_TLS_CERT_ALTNAME_INVALID`,
    );
  });

  it('and without TLS do not go together: both sides go on, and back off', async () => {
    const [secure, plain] = [await openGate(), await openGate({ tls: undefined })];
    const toSecure = await cluster.relayTo(secure);
    const toPlain = await cluster.relayTo(plain);
    const one = await open('w1', 'worker', { url: `tcp://${onPorts(toSecure.port)}` });
    const two = await open('w2', 'worker', { url: `tcp://${onPorts(toPlain.port)}`, tls: workerFiles });
    const since = performance.now();
    await waitUntil('some attempts', () => toSecure.connections >= 5 && toPlain.connections >= 5, 10_000);
    // Four waits of at least half of 100, 200, 400 and 800 ms, less what had passed before.
    expect(performance.now() - since).toBeGreaterThan(600);
    expect([...one.changes, ...two.changes, ...secure.changes, ...plain.changes]).toEqual([]);
    expect(countersOf(secure)?.corrupt).toBeGreaterThanOrEqual(4);
  });

  it('closes who does not go on with its handshake within five seconds', async () => {
    const gate = await openGate();
    const port = LinkCluster.portOf(gate);
    // The start of a real one: the rest never comes.
    const relay = await cluster.relayTo(gate);
    await open('w1', 'worker', { url: `tcp://${onPorts(relay.port)}`, tls: workerFiles });
    await gate.meets('w1');
    const since = performance.now();
    for (const bytes of [0, 1, 5, 100]) {
      const peer = await RawLinkPeer.dial(port);
      peer.raw(relay.record.subarray(0, bytes));
      raw.push(peer);
    }
    await waitUntil('all to be closed', () => raw.every(peer => peer.isEnded), 10_000);
    expect(performance.now() - since).toBeLessThan(5_000);
    expect(countersOf(gate)?.silent).toBe(4);
    expect(gate.story('w1')).toEqual(['join 1']);
  });

  it('uses certificates that are renewed while it runs, and the old ones while the new ones are broken', async () => {
    const files = authority.issue('renewed');
    const gate = await openGate({ tls: files });
    const seen = async (): Promise<string> => {
      const socket = connectTls({
        port: LinkCluster.portOf(gate),
        rejectUnauthorized: false,
        ...readFiles(workerFiles),
      });
      await new Promise(resolve => socket.once('secureConnect', resolve));
      const { subject } = socket.getPeerCertificate();
      socket.destroy();
      return String(subject.CN);
    };
    expect(await seen()).toBe('renewed');
    writeFileSync(files.keyFile, 'half a key');
    for (let i = 0; i < 3; i++) expect(await seen()).toBe('renewed');
    authority.replace(files, authority.issue('fresh'));
    await waitUntil('the new certificate', async () => (await seen()) === 'fresh');
    await openWorker(gate, workerFiles);
    await gate.meets('w1');
  });

  it.each<[string, (files: NodeFiles) => NodeFiles]>([
    ['cert', files => ({ ...files, certFile: '/nowhere/to/be.found' })],
    ['key', files => ({ ...files, keyFile: '/nowhere/to/be.found' })],
    ['ca', files => ({ ...files, caFile: '/nowhere/to/be.found' })],
    ['cert', files => ({ ...files, certFile: files.keyFile })],
    ['key', files => ({ ...files, keyFile: files.certFile })],
    ['key', files => ({ ...files, keyFile: workerFiles.keyFile })],
    ['ca', files => ({ ...files, caFile: files.keyFile })],
  ])('does not start with a file for %s that cannot be used (%#)', async (name, spoil) => {
    const tls = spoil(gateFiles);
    const error = await openGate({ tls }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'BAD_ARGUMENT' });
    expect((error as Error).message).toContain(`tls.${name}File (${name}= in the URL)`);
    expect((error as Error).message).toContain(JSON.stringify(tls[`${name}File` as keyof NodeFiles]));
  });
});

const readFiles = ({ caFile, certFile, keyFile }: NodeFiles) => ({
  ca: readFileSync(caFile),
  cert: readFileSync(certFile),
  key: readFileSync(keyFile),
});
