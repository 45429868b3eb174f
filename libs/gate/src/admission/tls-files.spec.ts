import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { loadTls, reloadOnHangup } from './tls-files.js';

let dir: string;
const file = (name: string): string => join(dir, name);

/** Makes a key and a certificate that it has signed itself. */
function makeCertificate(name: string): void {
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const outputs = ['-keyout', file(`${name}.key`), '-out', file(`${name}.crt`)];
  execFileSync('openssl', ['req', '-x509', ...curve, ...outputs, '-days', '30', '-subj', `/CN=${name}`], {
    stdio: 'ignore',
  });
}

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'nestgate-tls-'));
  for (const name of ['a', 'b']) makeCertificate(name);
  writeFileSync(file('empty'), '');
  writeFileSync(file('garbage'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
});

afterAll(() => rmSync(dir, { recursive: true }));

describe('loadTls', () => {
  it('reads a certificate and its key', () => {
    const loaded = loadTls({ certFile: file('a.crt'), keyFile: file('a.key') });
    expect(loaded).toEqual({
      cert: readFileSync(file('a.crt')),
      key: readFileSync(file('a.key')),
      minVersion: 'TLSv1.2',
    });
    expect(() => createSecureContext(loaded)).not.toThrow();
  });

  it('wants certificates of clients when there is an authority for them', () => {
    const loaded = loadTls({ certFile: file('a.crt'), keyFile: file('a.key'), caFile: file('b.crt') });
    expect(loaded).toMatchObject({ ca: readFileSync(file('b.crt')), requestCert: true, rejectUnauthorized: true });
  });

  it.each(['certFile', 'keyFile', 'caFile'])('names tls.%s when it cannot be read', option => {
    const files = { certFile: file('a.crt'), keyFile: file('a.key'), caFile: file('b.crt') };
    for (const missing of [file('missing'), dir]) {
      expect(() => loadTls({ ...files, [option]: missing })).toThrow(
        new RegExp(`tls\\.${option}: ${JSON.stringify(missing)}`),
      );
    }
  });

  it('names both options when the key is that of another certificate', () => {
    expect(() => loadTls({ certFile: file('a.crt'), keyFile: file('b.key') })).toThrow(
      /tls\.certFile.*tls\.keyFile.*a\.crt.*b\.key/,
    );
  });

  it.each(['empty', 'garbage', 'a.key'])('refuses the file %s for a certificate', name => {
    const files = { certFile: file('a.crt'), keyFile: file('a.key') };
    expect(() => loadTls({ ...files, certFile: file(name) })).toThrow(/tls\.certFile/);
    expect(() => loadTls({ ...files, caFile: file(name) })).toThrow(/tls\.caFile/);
  });

  it.each(['empty', 'garbage', 'a.crt'])('refuses the file %s for a key', name => {
    expect(() => loadTls({ certFile: file('a.crt'), keyFile: file(name) })).toThrow(/tls\.keyFile/);
  });
});

describe('reloadOnHangup', () => {
  const given: SecureContextOptions[] = [];
  const server = { setSecureContext: (options: SecureContextOptions) => void given.push(options) };
  const logged: string[] = [];
  const logger = new Logger();
  logger.log = (text: string) => void logged.push(`log: ${text}`);
  logger.error = (text: string) => void logged.push(`error: ${text}`);
  let stop: () => void = () => undefined;

  const hangUp = (): boolean => process.emit('SIGHUP', 'SIGHUP');

  function start(): void {
    for (const kind of ['crt', 'key']) writeFileSync(file(`live.${kind}`), readFileSync(file(`a.${kind}`)));
    stop = reloadOnHangup({ certFile: file('live.crt'), keyFile: file('live.key') }, server, logger);
  }

  afterEach(() => {
    stop();
    given.length = 0;
    logged.length = 0;
  });

  it('gives the server what the files hold then', () => {
    start();
    expect(given).toEqual([]);
    for (const kind of ['crt', 'key']) writeFileSync(file(`live.${kind}`), readFileSync(file(`b.${kind}`)));
    hangUp();
    expect(given).toEqual([expect.objectContaining({ cert: readFileSync(file('b.crt')) })]);
    expect(logged).toEqual([expect.stringMatching(/^log: /)]);
  });

  it('leaves the server as it is when the files are broken, and says so', () => {
    start();
    writeFileSync(file('live.key'), readFileSync(file('b.key')));
    hangUp();
    expect(given).toEqual([]);
    expect(logged).toEqual([expect.stringMatching(/^error: .*not changed.*tls\.keyFile/)]);
    writeFileSync(file('live.crt'), readFileSync(file('b.crt')));
    hangUp();
    expect(given.length).toBe(1);
  });

  it('ends with the gate', () => {
    const before = process.listenerCount('SIGHUP');
    start();
    expect(process.listenerCount('SIGHUP')).toBe(before + 1);
    stop();
    expect(process.listenerCount('SIGHUP')).toBe(before);
    expect(given).toEqual([]);
  });
});
