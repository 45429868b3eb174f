import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { type INestApplication, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Gate, GateModule } from '@nestgate/gate';
import { FakeClient, freePort, NatsProcess } from '@nestgate/testing';
import { GatewayApi, GatewayHttpModule } from '@nestgate/worker';
import { WebSocketServer } from 'ws';
import { DOCS_USERS, docsConfig, urlAs } from '../link/support/link-nats-support.js';
import { ALL_KEY, HttpGate, KEYS } from './http-support.js';

const SECRET = 'a-secret-of-the-link-with-32-bytes!';

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function cli(args: readonly string[], { input = '', env = {}, shell = '' } = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const line = [process.execPath, 'libs/cli/dist/main.js', ...args];
    const child =
      shell === ''
        ? spawn(line[0] ?? '', line.slice(1), { env: { ...process.env, ...env } })
        : spawn('sh', ['-c', `${shell}; exec "$@"`, 'sh', ...line], { env: { ...process.env, ...env } });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
    child.on('error', reject);
    child.on('close', code => resolve({ code, stdout, stderr }));
    child.stdin.end(input);
  });
}

async function json<T>(args: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await cli([...args, '--json']);
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return JSON.parse(stdout) as T;
}

interface Finding {
  readonly check: string;
  readonly state: string;
  readonly text: string;
}

const doctor = async (args: readonly string[], options?: Parameters<typeof cli>[1]) => {
  const { code, stdout } = await cli(['doctor', ...args, '--json'], options);
  const findings = JSON.parse(stdout) as readonly Finding[];
  return { code, of: (check: string) => findings.find(finding => finding.check === check) };
};

describe.each(['link', 'http'])('nestgate over %s', way => {
  let app: INestApplication;
  let url: string;
  let target: string[];
  const clients: FakeClient[] = [];

  beforeAll(async () => {
    const link = `tcp://127.0.0.1:${await freePort()}`;
    @Module({
      imports: [
        GateModule.forRoot({ link, secret: SECRET, nodeId: 'gate-1', startupWait: 0 }),
        GatewayHttpModule.forRoot({ keys: KEYS }),
      ],
    })
    class AppModule {}
    app = await NestFactory.create(AppModule, { logger: false });
    await app.listen(0, '127.0.0.1');
    const { port } = app.getHttpServer().address() as AddressInfo;
    url = `ws://127.0.0.1:${port}${app.get(Gate).options.ws.path}`;
    target =
      way === 'link' ? ['--link', link, '--secret', SECRET] : ['--url', `http://127.0.0.1:${port}`, '--key', ALL_KEY];
  });
  afterEach(() => clients.splice(0).forEach(client => client.socket.terminate()));
  afterAll(() => app.close());

  async function connect(uid: string, group: string): Promise<FakeClient> {
    const client = await FakeClient.connect(url);
    clients.push(client);
    await app.get(GatewayApi).bindUid(client.clientId, uid);
    await app.get(GatewayApi).joinGroup(client.clientId, group);
    return client;
  }

  it('lists nodes, sessions and groups, and shows one session', async () => {
    const client = await connect('ann', 'room');
    const row = { clientId: client.clientId, uid: 'ann', isAway: false };
    const [nodes, all, none, ofUid, byUid, byId, groups, table, nobody] = await Promise.all([
      json<readonly { id: string; gate?: object }[]>(['nodes', ...target]),
      json(['sessions', ...target]),
      json(['sessions', '--group', 'other', ...target]),
      json(['sessions', '--uid', 'ann', ...target]),
      json(['who', 'ann', ...target]),
      json(['who', client.clientId, ...target]),
      json(['groups', ...target]),
      cli(['nodes', ...target]),
      cli(['who', 'nobody', ...target]),
    ]);
    expect(nodes.find(({ id }) => id === 'gate-1')?.gate).toMatchObject({ clients: 1, uids: 1, groups: 1 });
    expect([all, none, ofUid]).toMatchObject([[row], [], [row]]);
    expect([byUid, byId]).toMatchObject([[{ ...row, groups: ['room'] }], [row]]);
    expect(groups).toEqual([{ group: 'room', clients: 1 }]);
    expect(table.stdout).toMatch(/^ID +ROLE +VERSION[^]*gate-1 +gate +0\.1\.0/);
    expect(table.stdout).not.toContain('\u001b');
    expect(nobody).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^nestgate: SESSION_NOT_FOUND: nobody is neither/),
    });
  });

  it('taps a session', async () => {
    const client = await connect('ann', 'room');
    const tapped = cli(['tap', client.clientId, '--topic', 'a/b', '--for', '3s', '--json', ...target]);
    const text = '\u001b[31mred';
    const tap = { isOver: false };
    // Until the tap has begun, which it does not tell before its first frame.
    const sending = (async () => {
      while (!tap.isOver) {
        await app.get(GatewayApi).sendToClient(client.clientId, 'a/b', { text, token: 'x' });
        await new Promise(resolve => setTimeout(resolve, 100));
      }
    })();
    const [{ code, stdout }, byTopic, neither, unknown, wrong] = await Promise.all([
      tapped,
      cli(['tap', '--topic', 'a', '--for', '3s', ...target]),
      cli(['tap', ...target]),
      cli(['tap', 'nobody', ...target]),
      cli(['tap', client.clientId, '--for', 'long', ...target]),
    ]);
    tap.isOver = true;
    await sending;
    expect(code).toBe(0);
    const frames = stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as object);
    expect(frames.length).toBeGreaterThan(3);
    const body = JSON.stringify({ text, token: '[hidden]' });
    expect(frames[0]).toMatchObject({ way: 'out', kind: 'push', topic: 'a/b', body });
    expect(stdout).not.toContain('\u001b');
    expect(byTopic.stdout).toMatch(new RegExp(`← push a/b .*"token":"\\[hidden\\]".* ${client.clientId}$`, 'm'));
    expect(byTopic.stdout).not.toContain('\u001b');
    expect([byTopic.code, neither.code, unknown.code, wrong.code]).toEqual([0, 2, 1, 2]);
  });

  it('sends, and kicks', async () => {
    const client = await connect('\u202eann', 'room');
    expect(await json(['send', 'a/b', '{"n":1}', '--group', 'room', ...target])).toEqual({ delivered: 1 });
    expect(await json(['send', 'a/b', 'plain', '--client', client.clientId, ...target])).toEqual({ delivered: 1 });
    await client.push('a/b', body => body === 'plain');
    expect(client.pushes('a/b').map(({ body }) => body)).toEqual([{ n: 1 }, 'plain']);
    const [nobody, listed] = await Promise.all([cli(['send', 'a/b', ...target]), cli(['sessions', ...target])]);
    expect(nobody.code).toBe(2);
    expect(listed.stdout).toContain(client.clientId);
    expect(listed.stdout).not.toContain('\u202e');
    expect(await json(['kick', client.clientId, ...target])).toEqual({ closed: 1 });
    expect(await client.closed).toMatchObject({ code: 4002 });
  });

  it('asks clients to move, where there is another gate', async () => {
    const [even, missing, half] = await Promise.all([
      cli(['rebalance', ...target]),
      cli(['rebalance', 'nobody', '--clients', '5', ...target]),
      cli(['rebalance', 'gate-1', ...target]),
    ]);
    expect(even).toMatchObject({ code: 0, stdout: 'the gates have equal shares\n' });
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringMatching(/no gate with the id nobody/) });
    expect(half).toMatchObject({ code: 2, stderr: expect.stringMatching(/--clients belong together/) });
    expect(await json(['rebalance', 'gate-1', '--clients', '5', ...target])).toEqual({ 'gate-1': 0 });
  });

  it('drains a gate, and waits until its clients are gone', async () => {
    if (way === 'link') return; // The gate of this test is drained at the end.
    const client = await connect('bob', 'room');
    expect((await cli(['drain', 'nobody', ...target])).stderr).toMatch(/no gate with the id nobody/);
    const { stdout, code } = await cli(['drain', 'gate-1', ...target]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^0 left$/m);
    expect(await client.closed).toMatchObject({ code: 1012 });
  });
});

describe('nestgate', () => {
  let gate: HttpGate;
  let url: string;

  beforeAll(async () => {
    gate = await HttpGate.start('express');
    url = `ws://127.0.0.1:${gate.port}${gate.app.get(Gate).options.ws.path}`;
  });
  afterAll(() => gate.close());

  it('talks to a gate', async () => {
    const { code, stdout } = await cli(['connect', url, '--json'], { input: 'no/topic {"a":1}\n!no/other\n.exit\n' });
    const events = stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as { event: string });
    expect(code).toBe(0);
    expect(events).toContainEqual(expect.objectContaining({ event: 'session', why: 'first' }));
    expect(events).toContainEqual(expect.objectContaining({ event: 'error', topic: 'no/topic', code: 'NO_ROUTE' }));
  });

  it('measures a gate, and says what has failed', async () => {
    const args = ['bench', url, '--topic', 'no/topic', '--rate', '100', '--for', '200ms', '--clients', '2', '--json'];
    const { code, stdout } = await cli(args);
    expect([code, JSON.parse(stdout)]).toMatchObject([1, { sent: 20, answered: 0, failed: { NO_ROUTE: 20 } }]);
  });

  it('makes keys and tokens', async () => {
    const made = await json<{ key: string; sha256: string }>(['token', 'key', '--name', 'shop']);
    expect(made).toMatchObject({ NESTGATE_HTTP_KEYS: `shop:${made.sha256}:push+query` });
    expect((await cli(['token', 'jwt', '--sub', 'ann', '--secret', 'short'])).code).toBe(2);
    const { stdout } = await cli(['token', 'jwt', '--sub', 'ann', '--secret', 'x'.repeat(32), '--for', '1h']);
    const claims = JSON.parse(Buffer.from(stdout.split('.')[1] ?? '', 'base64url').toString()) as object;
    expect(claims).toMatchObject({ sub: 'ann' });
  });

  it('compares contracts', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nestgate-cli-'));
    try {
      const [before, after] = ['apps/handlers/chat.asyncapi.json', join(folder, 'empty.json')];
      writeFileSync(after, JSON.stringify({ asyncapi: '3.0.0', info: {}, channels: {}, operations: {} }));
      expect((await cli(['contract', 'diff', before, before])).code).toBe(0);
      expect((await cli(['contract', 'diff', before, after])).code).toBe(1);
      expect(await json(['contract', 'topics', before])).toContainEqual({ topic: 'chat/say' });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('says how it is used', async () => {
    const help = await cli(['--help']);
    expect(help.code).toBe(0);
    for (const name of [
      'connect',
      'nodes',
      'sessions',
      'who',
      'groups',
      'send',
      'kick',
      'drain',
      'rebalance',
      'tap',
      'bench',
      'doctor',
      'contract',
      'token',
    ]) {
      expect(help.stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
    }
    const [misspelt, nowhere, nobody, wrong] = await Promise.all([
      cli(['nodse']),
      cli(['nodes']),
      cli(['nodes', '--url', `http://127.0.0.1:${await freePort()}`]),
      cli(['nodes', '--url', gate.url, '--key', 'wrong']),
    ]);
    expect(misspelt).toMatchObject({ code: 2, stderr: expect.stringMatching(/Did you mean nodes/) });
    expect(nowhere).toMatchObject({ code: 2, stderr: expect.stringMatching(/--url and --key/) });
    expect(nobody).toMatchObject({ code: 1, stderr: expect.stringMatching(/LINK_UNAVAILABLE.*ECONNREFUSED/) });
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringMatching(/UNAUTHORIZED: The key is unknown/) });
  });
});

describe('nestgate doctor', () => {
  const apps: INestApplication[] = [];
  const servers: { close(): unknown }[] = [];
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close();
    for (const server of servers.splice(0)) await server.close();
    jest.restoreAllMocks();
  });

  async function gateAt(link: string, nodeId: string): Promise<string> {
    const imports = [GateModule.forRoot({ link, secret: SECRET, nodeId, startupWait: 0 })];
    class AppModule {}
    const app = await NestFactory.create({ module: AppModule, imports }, { logger: false });
    apps.push(app);
    await app.listen(0, '127.0.0.1');
    const { port } = app.getHttpServer().address() as AddressInfo;
    return `ws://127.0.0.1:${port}${app.get(Gate).options.ws.path}`;
  }

  async function serve(answer: string): Promise<number> {
    const server: Server = createServer(socket => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.write(answer));
    });
    servers.push(server);
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  }

  it('finds nothing where nothing is wrong', async () => {
    const link = `tcp://127.0.0.1:${await freePort()}`;
    const url = await gateAt(link, 'gate-1');
    const redis = await serve('*2\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n');
    const args = [
      '--link',
      link,
      '--secret',
      SECRET,
      '--client',
      url,
      '--idle',
      '1ms',
      '--redis',
      `redis://127.0.0.1:${redis}`,
    ];
    const { code, of } = await doctor(args);
    for (const check of ['link', 'versions', 'clocks', 'peers', 'redis', 'client']) expect(of(check)?.state).toBe('ok');
    expect(code).toBe(0);
  });

  it('finds a wrong secret, and a link that cannot be reached', async () => {
    const link = `tcp://127.0.0.1:${await freePort()}`;
    await gateAt(link, 'gate-1');
    const [wrong, nobody] = await Promise.all([
      doctor(['--link', link, '--secret', 'another-secret-of-more-than-32-bytes']),
      doctor(['--link', `tcp://127.0.0.1:${await freePort()}`, '--secret', SECRET]),
    ]);
    expect([wrong.code, wrong.of('link')]).toMatchObject([
      1,
      { state: 'problem', text: expect.stringMatching(/secret/) },
    ]);
    expect(nobody.of('link')).toMatchObject({ state: 'problem', text: expect.stringMatching(/ECONNREFUSED/) });
  });

  it('finds a clock that is off, and gates that do not know each other', async () => {
    const [one, two] = [await freePort(), await freePort()];
    const now = Date.now.bind(Date);
    jest.spyOn(Date, 'now').mockImplementation(() => now() + 5_000);
    await gateAt(`tcp://127.0.0.1:${one}`, 'gate-1');
    await gateAt(`tcp://127.0.0.1:${two}`, 'gate-2');
    const { of } = await doctor(['--link', `tcp://127.0.0.1:${one},127.0.0.1:${two}`, '--secret', SECRET]);
    expect(of('clocks')).toMatchObject({
      state: 'problem',
      text: expect.stringMatching(/gate-1 is \d+ ms ahead, gate-2/),
    });
    expect(of('peers')).toMatchObject({ state: 'problem', text: expect.stringMatching(/gate-1 knows 0 of 1/) });
  });

  it('finds a Redis that evicts, too few open files, and an Origin that is not allowed', async () => {
    const redis = await serve('*2\r\n$16\r\nmaxmemory-policy\r\n$11\r\nallkeys-lru\r\n');
    const link = `tcp://127.0.0.1:${await freePort()}`;
    const url = await gateAt(link, 'gate-1');
    const args = ['--client', url, '--origin', 'https://evil.test', '--redis', `redis://:pw@127.0.0.1:${redis}`];
    const { of } = await doctor(args, { shell: 'ulimit -n 1024' });
    expect(of('redis')).toMatchObject({ state: 'problem', text: expect.stringMatching(/allkeys-lru/) });
    expect(of('open files')).toMatchObject({ state: 'problem', text: expect.stringMatching(/^1024 may be open/) });
    expect(of('client')).toMatchObject({
      state: 'problem',
      text: expect.stringMatching(/Origin https:\/\/evil\.test/),
    });
  });

  it('finds a proxy that cuts silent clients before the first ping, and says what pingInterval is', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    servers.push(server);
    server.on('connection', socket => {
      socket.send('{"topic":"$gate/hello","body":{"clientId":"g.e.1","heartbeatMs":25000}}');
      setTimeout(() => socket.terminate(), 50);
    });
    await new Promise(resolve => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const link = `tcp://127.0.0.1:${await freePort()}`;
    const [cut, short] = await Promise.all([
      doctor(['--client', `ws://127.0.0.1:${port}/gate`]),
      doctor(['--client', await gateAt(link, 'gate-1'), '--idle', '100ms']),
    ]);
    expect([cut.code, cut.of('idle')]).toMatchObject([
      1,
      {
        state: 'problem',
        text: expect.stringMatching(
          /shorter than pingInterval\. The gate pings every 25 s \(pingInterval\): set it well below/,
        ),
      },
    ]);
    expect([short.code, short.of('idle')]).toMatchObject([
      0,
      { state: 'skipped', text: expect.stringMatching(/pings every 25 s \(pingInterval\): wait longer/) },
    ]);
  });

  it('finds what a NATS server does not permit, with the subject', async () => {
    const config = docsConfig();
    const [, block = ''] = /^ {2}api: \{([\s\S]*?)^ {2}\}/m.exec(config) ?? [];
    const without = async (subject: string): Promise<NatsProcess> => {
      expect(block).toContain(`"${subject}"`);
      const strict = config.replace(block, block.replace(`"${subject}"`, '"nothing.at.all"'));
      const server = await NatsProcess.start({ config: strict });
      servers.push({ close: () => server.end() });
      await gateAt(urlAs(server.url, DOCS_USERS.gate), 'gate-1');
      return server;
    };
    const examine = async (server: NatsProcess) => doctor(['--link', urlAs(server.url, DOCS_USERS.api)]);
    const subjects = ['nestgate.api.>', 'nestgate.info.api', 'nestgate.gate.*.*.from.api'];
    const strict = await Promise.all(subjects.map(without));
    const [subscribing, telling, asking] = await Promise.all(strict.map(examine));
    for (const [found, what] of [
      [subscribing, /subscribe to nestgate\.api\./],
      [telling, /publish to nestgate\.info\.api/],
      [asking, /publish to nestgate\.gate\.gate-1\..*\.from\.api/],
    ] as const) {
      expect(found?.code).toBe(1);
      expect(found?.of('permissions')).toMatchObject({ state: 'problem', text: expect.stringMatching(what) });
    }
    strict[0]?.reload(config);
    const fine = await examine(strict[0] as NatsProcess);
    expect([fine.code, fine.of('permissions')?.state, fine.of('link')?.state]).toEqual([0, 'ok', 'ok']);
  }, 60_000);
});
