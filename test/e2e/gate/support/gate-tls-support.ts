import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TlsOptions } from '@nestgate/gate';

/** DER: a tag, a length and what it holds. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const head = length < 128 ? [tag, length] : [tag, 0x82, length >>> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
}

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const UTF8 = 0x0c;
const TIME = 0x18;
/** The object identifiers of ecdsa-with-SHA256 and of a common name. */
const ECDSA_SHA256 = der(SEQUENCE, Buffer.from('06082a8648ce3d040302', 'hex'));
const COMMON_NAME = Buffer.from('0603550403', 'hex');

/** A certificate and key of this process's own in files of their own, and how to be rid of them. */
export function createCertificate(name: string): TlsOptions & { remove(): void } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const subject = der(SEQUENCE, der(SET, der(SEQUENCE, COMMON_NAME, der(UTF8, Buffer.from(name)))));
  const validity = der(SEQUENCE, ...['20200101000000Z', '21200101000000Z'].map(time => der(TIME, Buffer.from(time))));
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const body = der(SEQUENCE, der(INTEGER, Buffer.of(1)), ECDSA_SHA256, subject, validity, subject, spki);
  const signature = der(BIT_STRING, Buffer.of(0), sign('sha256', body, privateKey));
  const certificate = der(SEQUENCE, body, ECDSA_SHA256, signature).toString('base64');

  const directory = mkdtempSync(join(tmpdir(), 'nestgate-tls-'));
  const certFile = join(directory, 'cert.pem');
  const keyFile = join(directory, 'key.pem');
  writeFileSync(certFile, `-----BEGIN CERTIFICATE-----\n${certificate}\n-----END CERTIFICATE-----\n`);
  writeFileSync(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  return { certFile, keyFile, remove: () => rmSync(directory, { recursive: true }) };
}
