import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { TLSSocket } from 'node:tls';
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { BinaryClient, waitUntil } from '@nestgate/testing';
import { TestCertificates } from '../support/tls-support.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** A gate for TLS clients over TCP and nothing else: it needs no HTTP app. It prints its port. */
const SCRIPT = `
  import 'reflect-metadata';
  import { NestFactory } from '@nestjs/core';
  import { Gate, GateModule } from '@nestgate/gate';
  import { GateTransport } from '@nestgate/worker';
  const [certFile, keyFile] = process.argv.slice(1);
  const options = { tls: { certFile, keyFile }, tcp: { port: 0 }, ws: { port: 0 } };
  const app = await NestFactory.createMicroservice(GateModule.forRoot(options), {
    useFactory: strategy => ({ strategy }),
    inject: [GateTransport],
    logger: ['warn', 'error'],
  });
  if (process.argv[3]) app.enableShutdownHooks();
  else app.enableShutdownHooks(['SIGTERM', 'SIGINT']);
  await app.listen();
  console.log('port ' + app.get(Gate).tcpPort);
`;

describe('a gate in a process of its own', () => {
  const certificates = new TestCertificates();
  let child: ChildProcess;
  let output = '';

  afterEach(() => void child.kill('SIGKILL'));
  afterAll(() => certificates.remove());

  function start(certFile: string, keyFile: string, ...more: string[]): void {
    output = '';
    const args = ['--input-type=module', '-e', SCRIPT, certFile, keyFile, ...more];
    child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', data => (output += String(data)));
  }

  async function started(): Promise<number> {
    return waitUntil('the gate to start', () => Number(/port (\d+)/.exec(output)?.[1] ?? 0), 10_000);
  }

  const nameOf = (client: BinaryClient): string =>
    (client.transport as TLSSocket).getPeerCertificate().subject.CN as string;

  it('takes a new certificate at SIGHUP, keeps its clients, and ends at SIGTERM', async () => {
    const live = certificates.make('live');
    const renewed = certificates.make('renewed');
    start(live.certFile, live.keyFile);
    const port = await started();
    const connect = () => BinaryClient.overTcp(port, { tls: { rejectUnauthorized: false } });
    const client = await connect();
    expect(nameOf(client)).toBe('live');

    certificates.replace(live, renewed);
    child.kill('SIGHUP');
    await waitUntil('the new certificate to be shown', async () => {
      const next = await connect();
      const name = nameOf(next);
      next.destroy();
      return name === 'renewed';
    });
    expect(output).not.toContain('SIGHUP');
    client.sendRaw(Buffer.of(4, 0, 0, 0));
    expect(await client.push('')).toMatchObject({ topic: '' });

    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await client.closed;
    await exited;
  });

  it('says at its start that SIGHUP would end it, when Nest listens to every signal', async () => {
    const live = certificates.make('every');
    start(live.certFile, live.keyFile, 'every signal');
    await started();
    expect(output).toContain("app.enableShutdownHooks(['SIGTERM', 'SIGINT'])");
    const exited = once(child, 'exit');
    child.kill('SIGHUP');
    await exited;
  });

  it('does not start with a certificate that cannot be read', async () => {
    start('/nowhere/cert.pem', '/nowhere/key.pem');
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).not.toBe(0);
    expect(output).toContain('tls.certFile');
    expect(output).toContain('/nowhere/cert.pem');
    expect(output).not.toContain('port ');
  });
});
