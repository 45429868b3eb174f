import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort, NatsProcess, TcpRelay, waitUntil } from '@nestgate/testing';
import { NatsNodes } from './support/link-nats-support.js';
import { type CertificateFiles, TestCertificates } from '../support/tls-support.js';

describe('NATS with TLS', () => {
  const nodes = new NatsNodes();
  const certificates = new TestCertificates();
  let ours: CertificateFiles;
  let theirs: CertificateFiles;
  let plain: NatsProcess;
  let encrypted: NatsProcess;
  let mutual: NatsProcess;

  const tlsOf = ({ certFile, keyFile }: CertificateFiles, more = ''): string =>
    `tls { cert_file: "${certFile}", key_file: "${keyFile}" ${more} }`;

  beforeAll(async () => {
    ours = certificates.make('ours');
    theirs = certificates.make('theirs');
    plain = await NatsProcess.start();
    encrypted = await NatsProcess.start({ config: tlsOf(ours) });
    mutual = await NatsProcess.start({ config: tlsOf(ours, `, ca_file: "${theirs.certFile}", verify: true`) });
  });
  afterEach(() => nodes.end());
  afterAll(async () => {
    for (const server of [plain, encrypted, mutual]) await server.end();
    certificates.remove();
  });

  const urlOf = (server: NatsProcess, query: string, scheme = 'tls'): string =>
    `${scheme}://127.0.0.1:${server.port}?${query}`;

  it('connects to an address that is in the certificate', async () => {
    await nodes.pair(urlOf(encrypted, `ca=${ours.certFile}`));
  });

  it('encrypts whenever files for TLS are named', async () => {
    await nodes.pair(urlOf(encrypted, `ca=${ours.certFile}`, 'nats'));
    const onPlain = nodes.make('g2', 'gate', urlOf(plain, `ca=${ours.certFile}`, 'nats'));
    await expect(onPlain.open()).rejects.toMatchObject({ code: 'LINK_UNAVAILABLE' });
  });

  it.each([
    ['whose certificate nobody it trusts has signed', () => urlOf(encrypted, `ca=${theirs.certFile}`), /self-signed/],
    ['whose certificate the system does not trust', () => urlOf(encrypted, ''), /self-signed/],
    ['that has no TLS', () => urlOf(plain, ''), /does not support 'tls'/],
    [
      'whose certificate is for another name',
      () => urlOf(encrypted, `ca=${ours.certFile}`).replace('127.0.0.1', 'localhost'),
      /does not match/,
    ],
  ])('fails at once with a server %s', async (_what, url, why) => {
    const gate = nodes.make('g1', 'gate', url());
    const startedAt = Date.now();
    const error = await gate.open().catch((reason: unknown) => reason as { code: string; message: string });
    expect(error).toMatchObject({ code: 'LINK_UNAVAILABLE', message: expect.stringMatching(why) });
    expect(Date.now() - startedAt).toBeLessThan(2_000);
  });

  it('shows a certificate of its own where one is asked for', async () => {
    await nodes.pair(urlOf(mutual, `ca=${ours.certFile}&cert=${theirs.certFile}&key=${theirs.keyFile}`));
  });

  it('does not come in without one, and says that it waits', async () => {
    const gate = nodes.make('g1', 'gate', urlOf(mutual, `ca=${ours.certFile}`));
    const opened = gate.open().catch((reason: unknown) => reason);
    await waitUntil('the warning', () => gate.warnings.length > 0);
    expect(gate.warnings[0]).toContain('out of reach');
    await gate.link.close({ drain: false });
    expect(await opened).toMatchObject({ code: 'LINK_CLOSED' });
  });

  it.each([
    ['ca', () => `ca=${ours.keyFile}`],
    ['cert', () => `cert=${ours.keyFile}&key=${ours.keyFile}`],
    ['key', () => `cert=${ours.certFile}&key=${ours.certFile}`],
    ['key', () => `cert=${ours.certFile}&key=${theirs.keyFile}`],
  ])('names the key of a file that TLS cannot use: %s', async (key, query) => {
    const gate = nodes.make('g1', 'gate', `tls://127.0.0.1:${await freePort()}?${query()}`);
    await expect(gate.open()).rejects.toMatchObject({
      code: 'BAD_ARGUMENT',
      message: expect.stringContaining(`link: ${key}: TLS cannot use the file`),
    });
  });

  it('comes back over TLS, with the files that are there then', async () => {
    const relay = await TcpRelay.start(mutual.port);
    const renewed = certificates.make('renewed');
    certificates.replace(renewed, theirs);
    const query = `ca=${ours.certFile}&cert=${renewed.certFile}&key=${renewed.keyFile}`;
    const gate = await nodes.open('g1', 'gate', `tls://127.0.0.1:${relay.port}?${query}`);
    // What the server does not accept is not accepted later either, and the node goes on trying.
    certificates.replace(renewed, ours);
    relay.cut();
    await waitUntil('the break', () => gate.statuses.includes(false));
    await waitUntil('an attempt', () => relay.connections >= 2);
    expect(gate.statuses).toEqual([false]);
    certificates.replace(renewed, theirs);
    await waitUntil('the return', () => gate.statuses.at(-1) === true);
    await relay.end();
  });
});
