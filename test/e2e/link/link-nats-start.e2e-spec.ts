import { rmSync } from 'node:fs';
import { afterEach, describe, expect, it } from '@jest/globals';
import { freePort, NatsProcess, waitUntil } from '@nestgate/testing';
import { nkeys } from '@nats-io/transport-node';
import { hang, jwtWorld, NatsNodes, urlAs } from './support/link-nats-support.js';
import { AppProcess } from '../support/app-process.js';
import { DialledSockets } from '../support/dialled-sockets.js';
import { rejectionOf } from '../../support/codes.js';

describe('a node that starts on NATS', () => {
  const nodes = new NatsNodes();
  const servers: NatsProcess[] = [];
  const processes: AppProcess[] = [];

  afterEach(async () => {
    await nodes.end();
    await Promise.all(processes.splice(0).map(process => process.end()));
    await Promise.all(servers.splice(0).map(server => server.end()));
  });

  async function serve(config = ''): Promise<NatsProcess> {
    const server = await NatsProcess.start({ config });
    servers.push(server);
    return server;
  }

  async function prepare(config = ''): Promise<NatsProcess> {
    const server = NatsProcess.prepare(await freePort(), { config });
    servers.push(server);
    return server;
  }

  /** How long it takes until `work` is refused, and with what. */
  async function refusal(work: Promise<unknown>): Promise<{ code: string; message: string; ms: number }> {
    const startedAt = Date.now();
    const { code, message } = await rejectionOf(work);
    return { code, message, ms: Date.now() - startedAt };
  }

  it('waits for a server that is not there yet, and says so once, without secrets', async () => {
    const server = await prepare('authorization { user: u, password: s3cret }');
    const gate = nodes.make('g1', 'gate', urlAs(server.url, 'u:s3cret'));
    const opened = gate.open();
    await waitUntil('the warning', () => gate.warnings.length > 0);
    expect(gate.link.send('w1', Buffer.from('x'))).toBe('refused');
    expect(gate.link.cast('*', Buffer.from('x'))).toBe('refused');
    await server.restart();
    await opened;
    const worker = await nodes.open('w1', 'worker', urlAs(server.url, 'u:s3cret'));
    await gate.meets('w1');
    await worker.meets('g1');
    expect(gate.warnings).toEqual([expect.stringContaining(`127.0.0.1:${server.port}`)]);
    expect(gate.warnings.join()).not.toContain('s3cret');
    expect(gate.statuses).toEqual([]);
  });

  it('waits for a server that takes connections and says nothing', async () => {
    const server = await serve();
    await hang(server);
    const sockets = new DialledSockets();
    try {
      const gate = nodes.make('g1', 'gate', server.url);
      const opened = gate.open();
      await waitUntil('the warning', () => gate.warnings.length > 0);
      expect(gate.warnings[0]).toContain('does not answer');
      server.resume();
      await opened;
      // Nothing is left of the attempts of before: it would keep the process from ending.
      await waitUntil('one connection', () => sockets.open === 1);
    } finally {
      sockets.stop();
    }
  });

  it('waits for a name that nobody knows yet', async () => {
    const gate = nodes.make('g1', 'gate', 'nats://nestgate-test.invalid');
    const opened = refusal(gate.open());
    await waitUntil('the warning', () => gate.warnings.length > 0);
    expect(gate.warnings[0]).toContain('nestgate-test.invalid:4222');
    await gate.link.close({ drain: true });
    expect(await opened).toMatchObject({ code: 'LINK_CLOSED' });
  });

  it('takes the server that is there, and knows the others when it needs them', async () => {
    const [server, hung, later] = [await serve(), await serve(), await prepare()];
    await hang(hung);
    const url = `${later.url},127.0.0.1:${server.port},127.0.0.1:${hung.port}`;
    const gate = await nodes.open('g1', 'gate', url);
    expect(gate.warnings).toEqual([]);
    hung.resume();
    await hung.crash();
    await later.restart();
    await server.crash();
    await waitUntil('the other server', () => gate.statuses.at(-1) === true);
  });

  it.each([
    ['a password', 'authorization { user: u, password: right }', 'u:s3cret'],
    ['a user', 'authorization { user: u, password: right }', 'v:s3cret'],
    ['a token', 'authorization { token: right }', 's3cret'],
  ])('fails at once with %s that is wrong', async (_what, config, credentials) => {
    const server = await serve(config);
    const gate = nodes.make('g1', 'gate', urlAs(server.url, credentials));
    const { code, message, ms } = await refusal(gate.open());
    expect(code).toBe('UNAUTHORIZED');
    expect(message).toContain(`127.0.0.1:${server.port}`);
    expect(message + gate.warnings.join()).not.toContain('s3cret');
    expect(ms).toBeLessThan(2_000);
  });

  it('fails at once without credentials where some are needed', async () => {
    const server = await serve('authorization { user: u, password: p }');
    expect(await refusal(nodes.make('g1', 'gate', server.url).open())).toMatchObject({ code: 'UNAUTHORIZED' });
  });

  it('comes in with a user, whatever the password is made of', async () => {
    const password = '@:,/?#% "é';
    const server = await serve(`authorization { user: "u:1", password: ${JSON.stringify(password)} }`);
    await nodes.open('g1', 'gate', urlAs(server.url, `u%3A1:${encodeURIComponent(password)}`));
  });

  it('comes in with a token', async () => {
    const server = await serve('authorization { token: "t/1" }');
    await nodes.open('g1', 'gate', urlAs(server.url, 't%2F1'));
  });

  it('comes in with a .creds file', async () => {
    const { config, creds } = jwtWorld();
    const server = await serve(config);
    await nodes.open('g1', 'gate', `${server.url}?creds=${nodes.file('g1.creds', creds)}`);
    const other = nodes.file('other.creds', jwtWorld().creds);
    expect(await refusal(nodes.make('g2', 'gate', `${server.url}?creds=${other}`).open())).toMatchObject({
      code: 'UNAUTHORIZED',
    });
  });

  it('comes in with the seed of an nkey, and reads it again when that was renewed', async () => {
    const [first, second] = [nkeys.createUser(), nkeys.createUser()];
    const config = (user: nkeys.KeyPair) => `authorization { users: [ { nkey: ${user.getPublicKey()} } ] }`;
    const server = await serve(config(first));
    const path = nodes.file('g1.seed', `${new TextDecoder().decode(first.getSeed())}\n`);
    const gate = await nodes.open('g1', 'gate', `${server.url}?nkey=${path}`);
    // The server throws out who may not be there any more.
    server.reload(config(second));
    await waitUntil('the refusal', () => gate.statuses.includes(false) && gate.warnings.length > 0);
    rmSync(path);
    nodes.file('g1.seed', second.getSeed());
    await waitUntil('the return', () => gate.statuses.at(-1) === true);
  });

  it.each(['creds', 'nkey', 'ca'])('names the key of a file that is not there: %s', async key => {
    const gate = nodes.make('g1', 'gate', `nats://127.0.0.1:${await freePort()}?${key}=/not/there`);
    const { code, message } = await refusal(gate.open());
    expect(code).toBe('BAD_ARGUMENT');
    expect(message).toContain(`${key}: `);
    expect(message).toContain('/not/there');
  });

  it.each(['creds', 'nkey', 'ca'])('names the key of a file that holds something else: %s', async key => {
    const path = nodes.file('file', 's3cret');
    const gate = nodes.make('g1', 'gate', `nats://127.0.0.1:${await freePort()}?${key}=${path}`);
    const { code, message } = await refusal(gate.open());
    expect(code).toBe('BAD_ARGUMENT');
    expect(message).toContain(`${key}: `);
    expect(message).not.toContain('s3cret');
  });

  it('takes what the code says over what the URL says', async () => {
    const server = await serve('authorization { user: u, password: right }');
    await nodes.open('g1', 'gate', { url: urlAs(server.url, 'u:wrong'), connection: { pass: 'right' } });
    const url = `${server.url}?namespace=one`;
    const connection = { user: 'u', pass: 'right' };
    const gate = await nodes.open('g2', 'gate', { url, namespace: 'two', connection });
    const worker = await nodes.open('w2', 'worker', { url: `${server.url}?namespace=two`, connection });
    await gate.meets('w2');
    await worker.meets('g2');
  });

  it('can be ended while it waits, at once, however the server is', async () => {
    const server = await serve();
    const absent = nodes.make('g1', 'gate', `nats://127.0.0.1:${await freePort()}`);
    await hang(server);
    const hung = nodes.make('g2', 'gate', server.url);
    const refusals = [absent, hung].map(({ link, info, events }) => refusal(link.open(info, events)));
    await waitUntil('the warnings', () => absent.warnings.length > 0 && hung.warnings.length > 0);
    const startedAt = Date.now();
    await Promise.all([absent, hung].map(({ link }) => link.close({ drain: true })));
    for (const each of refusals) expect(await each).toMatchObject({ code: 'LINK_CLOSED' });
    expect(Date.now() - startedAt).toBeLessThan(1_000);
    server.resume();
  });

  it('works the same for an app that is started by its environment', async () => {
    const server = await prepare('authorization { user: u, password: s3cret }');
    const link = `nats://u:s3cret@127.0.0.1:${server.port}?namespace=shop`;
    const worker = AppProcess.spawn({ NESTGATE_LINK: link, LOG_LEVEL: 'warn' }, 'worker');
    processes.push(worker);
    await waitUntil('the warning', () => worker.output.includes('[NatsLink]'), 10_000);
    await server.restart();
    await waitUntil('the app to start', () => worker.port > 0, 10_000);
    expect(worker.output.match(/\[NatsLink\]/g)).toHaveLength(1);
    const wrong = AppProcess.spawn({ NESTGATE_LINK: link.replace('s3cret', 's3cret2') }, 'worker');
    processes.push(wrong);
    expect((await wrong.exited).code).not.toBe(0);
    expect(wrong.output).toContain('UNAUTHORIZED');
    expect(worker.output + wrong.output).not.toContain('s3cret');
  });
});
