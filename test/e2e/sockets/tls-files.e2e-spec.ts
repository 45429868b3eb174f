import { writeFileSync } from 'node:fs';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { GateOptions } from '@nestgate/gate';
import { BinaryClient, FakeClient } from '@nestgate/testing';
import { BinaryBench } from '../support/binary-support.js';
import { type CertificateFiles, TestCertificates } from '../support/tls-support.js';

const certificates = new TestCertificates();
let first: CertificateFiles;
let second: CertificateFiles;
/** The files in the options of the gate. */
const live = certificates.files('live');

beforeAll(() => {
  first = certificates.make('first');
  second = certificates.make('second');
});
afterAll(() => certificates.remove());
beforeEach(() => certificates.replace(live, first));

describe.each([
  ['tcp', { tcp: { port: 0 } }],
  ['ws.port', { tcp: undefined, ws: { port: 0 } }],
] satisfies [string, GateOptions][])('files of a certificate for %s that cannot be used', (_where, options) => {
  const missing = certificates.files('missing');

  it.each([
    ['certFile', { ...live, certFile: missing.certFile }],
    ['keyFile', { ...live, keyFile: missing.keyFile }],
    ['caFile', { ...live, caFile: missing.certFile }],
  ])('keep the gate from starting when tls.%s cannot be read', async (option, tls) => {
    const starting = BinaryBench.start({ ...options, tls });
    await expect(starting).rejects.toThrow(new RegExp(`tls\\.${option}.*missing`));
  });

  it('keep the gate from starting when they do not belong together', async () => {
    const tls = { certFile: first.certFile, keyFile: second.keyFile };
    await expect(BinaryBench.start({ ...options, tls })).rejects.toThrow(/tls\.certFile.*tls\.keyFile/);
  });

  it('keep the gate from starting when they hold something else', async () => {
    writeFileSync(live.certFile, 'no certificate');
    await expect(BinaryBench.start({ ...options, tls: live })).rejects.toThrow(/tls\.certFile/);
    certificates.replace(live, first);
    const tls = { ...live, caFile: live.keyFile };
    await expect(BinaryBench.start({ ...options, tls })).rejects.toThrow(/tls\.caFile/);
  });
});

describe('a certificate that is renewed', () => {
  let bench: BinaryBench;
  const ends: (() => void)[] = [];

  beforeEach(async () => {
    bench = await BinaryBench.start({ tls: live, ws: { port: 0 } });
  });
  afterEach(async () => {
    for (const end of ends.splice(0)) end();
    await bench.close();
  });

  /** The common names of the certificates that the two ports show. */
  async function shown(): Promise<string[]> {
    return Promise.all(
      [bench.tcpPort, bench.gate.wsPort as number].map(async port => {
        const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
        await once(socket, 'secureConnect');
        const name = String(socket.getPeerCertificate().subject.CN);
        socket.destroy();
        return name;
      }),
    );
  }

  it('is shown to new clients after SIGHUP, and those that are connected stay', async () => {
    const ca = [first, second].map(files => certificates.read(files.certFile));
    const tcp = await BinaryClient.overTcp(bench.tcpPort, { tls: { ca } });
    const ws = await FakeClient.connect(`wss://127.0.0.1:${bench.gate.wsPort}/gate`, { ca });
    ends.push(
      () => tcp.destroy(),
      () => ws.socket.terminate(),
    );
    certificates.replace(live, second);
    expect(await shown()).toEqual(['first', 'first']);
    process.emit('SIGHUP', 'SIGHUP');
    expect(await shown()).toEqual(['second', 'second']);

    tcp.send('echo/echo', 'stayed');
    expect((await tcp.push('echo/echo')).body.toString()).toBe('stayed');
    expect(await ws.request('echo/echo', 'stayed')).toBe('stayed');
    expect((tcp.transport as TLSSocket).getPeerCertificate().subject.CN).toBe('first');
    const later = await BinaryClient.overTcp(bench.tcpPort, { tls: { ca } });
    ends.push(() => later.destroy());
    later.send('echo/echo', 'new');
    expect((await later.push('echo/echo')).body.toString()).toBe('new');
  });

  it('is not shown while its files are broken; the old one is', async () => {
    certificates.replace(live, { certFile: second.certFile, keyFile: first.keyFile });
    process.emit('SIGHUP', 'SIGHUP');
    expect(await shown()).toEqual(['first', 'first']);
    writeFileSync(live.certFile, '');
    process.emit('SIGHUP', 'SIGHUP');
    expect(await shown()).toEqual(['first', 'first']);
    certificates.replace(live, second);
    process.emit('SIGHUP', 'SIGHUP');
    expect(await shown()).toEqual(['second', 'second']);
  });

  it('no longer concerns a gate that has stopped', async () => {
    const listeners = process.listenerCount('SIGHUP');
    expect(listeners).toBeGreaterThanOrEqual(2);
    await bench.cluster.gate.app.close();
    expect(process.listenerCount('SIGHUP')).toBe(listeners - 2);
  });
});
