import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { transformFileSync } from '@swc/core';
import { FakeClient } from '@nestgate/testing';

interface Started {
  readonly port: number;
  readonly warnings: readonly string[];
}

describe('ThrottlerGuard on topics', () => {
  let dir: string;
  let child: ChildProcess | undefined;
  let started: Started;
  const clients: FakeClient[] = [];

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'nestgate-throttling-'));
    symlinkSync(join(process.cwd(), 'node_modules'), join(dir, 'node_modules'));
    writeFileSync(join(dir, 'package.json'), '{"type":"module"}');
    for (const name of ['throttling-app', 'worker-examples-throttling']) {
      const { code } = transformFileSync(join(process.cwd(), `test/e2e/topics/support/${name}.ts`), {
        jsc: {
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          target: 'es2022',
        },
        module: { type: 'es6' },
      });
      writeFileSync(join(dir, `${name}.js`), code);
    }
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.socket.terminate();
    child?.kill('SIGKILL');
    if (child && child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  async function start(
    guard: 'recipe' | 'stock' | 'module' | 'class' | 'method' | 'route',
    limit: number,
  ): Promise<void> {
    const node = spawn(process.execPath, ['--no-warnings', join(dir, 'throttling-app.js')], {
      env: { ...process.env, NODE_OPTIONS: '', GUARD: guard, LIMIT: String(limit) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child = node;
    started = await new Promise<Started>((resolve, reject) => {
      node.stdout.once('data', (line: Buffer) => resolve(JSON.parse(line.toString()) as Started));
      node.once('exit', code => reject(new Error(`The app has ended with ${code}`)));
    });
  }

  async function from(ip: string): Promise<FakeClient> {
    const url = `ws://127.0.0.1:${started.port}/gate`;
    const client = await FakeClient.connect(url, { headers: { 'x-forwarded-for': ip } });
    clients.push(client);
    return client;
  }

  async function outcome(client: FakeClient, body?: unknown): Promise<unknown> {
    const { error } = await client.exchange('limited/do', body);
    return error?.code ?? 'done';
  }

  it('counts each address by itself, whatever the body says', async () => {
    await start('recipe', 2);
    const [a, b, sameAsA] = [await from('203.0.113.1'), await from('203.0.113.2'), await from('203.0.113.1')];
    expect(await outcome(a, { ip: 'made-up' })).toBe('done');
    expect(await outcome(a, { ip: 'made-up-too', headers: { 'user-agent': 'x' } })).toBe('done');
    expect(await outcome(a, { ip: 'another' })).toBe('RATE_LIMITED');
    expect(await outcome(sameAsA)).toBe('RATE_LIMITED');
    expect(await outcome(b, { ip: '203.0.113.1' })).toBe('done');
  });

  it('takes every body as any other', async () => {
    await start('recipe', 1);
    const bodies = [null, undefined, 0, '', 'text', [], { ip: null }, { ip: 7 }, { headers: null }];
    for (const [i, body] of bodies.entries()) {
      const client = await from(`203.0.113.${i}`);
      const outcomes = [await outcome(client, body), await outcome(client, body)];
      expect([body, outcomes]).toEqual([body, ['done', 'RATE_LIMITED']]);
    }
  });

  it('limits routes and handshakes as it always does', async () => {
    await start('recipe', 1);
    const url = `http://127.0.0.1:${started.port}/limited`;
    expect([(await fetch(url)).status, (await fetch(url)).status]).toEqual([200, 429]);
    await from('203.0.113.1');
    await expect(from('203.0.113.1')).rejects.toMatchObject({ status: 429 });
    await from('203.0.113.2');
  });

  it('is in the module of the docs', async () => {
    await start('module', 0);
    expect(await outcome(await from('203.0.113.1'))).toBe('done');
    expect(started.warnings.filter(line => line.includes('ThrottlerGuard'))).toEqual([]);
  });

  it.each([
    ['class', ['The ThrottlerGuard of GuardedClass counts']],
    ['method', ['The ThrottlerGuard of GuardedMethod.do counts']],
    ['route', []],
  ] as const)('is warned of where it stands before topics as it is: %s', async (guard, warnings) => {
    await start(guard, 1);
    const about = started.warnings.filter(line => line.includes('ThrottlerGuard'));
    expect(about.map(line => line.slice(0, line.indexOf(' topics by')))).toEqual(warnings);
  });

  it('is warned of at start when it is the one of the library, which works on handshakes all the same', async () => {
    await start('stock', 1);
    expect(started.warnings.filter(line => line.includes('ThrottlerGuard'))).toHaveLength(1);
    await from('203.0.113.1');
    await expect(from('203.0.113.1')).rejects.toMatchObject({ status: 429 });
  });
});
