import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort, type NodeFiles, TestAuthority, waitUntil } from '@nestgate/testing';
import { type AppName, AppProcess } from '../support/app-process.js';

describe('apps with TLS on their link, configured only by their environment', () => {
  const processes: AppProcess[] = [];
  let authority: TestAuthority;
  let port = 0;

  beforeAll(() => {
    authority = new TestAuthority();
  });
  afterAll(() => authority.remove());
  afterEach(async () => {
    await Promise.all(processes.splice(0).map(process => process.end()));
  });

  function link({ caFile, certFile, keyFile }: NodeFiles, host = '127.0.0.1'): NodeJS.ProcessEnv {
    return { NESTGATE_LINK: `tcp://${host}:${port}?cert=${certFile}&key=${keyFile}&ca=${caFile}` };
  }

  async function start(app: AppName, env: NodeJS.ProcessEnv): Promise<AppProcess> {
    const process = await AppProcess.start(env, app);
    processes.push(process);
    return process;
  }

  /** What an app says that must not start. */
  async function fail(app: AppName, env: NodeJS.ProcessEnv): Promise<string> {
    const process = AppProcess.spawn(env, app);
    processes.push(process);
    expect((await process.exitWithin(15_000)).code).not.toBe(0);
    return process.output;
  }

  it('form a cluster, also where others could reach them, and keep out who is of another authority', async () => {
    port = await freePort();
    const gate = await start('gate', link(authority.issue('gate'), '0.0.0.0'));
    await start('worker', link(authority.issue('worker')));
    const client = await gate.connect();
    await waitUntil('a worker', async () => (await client.exchange('echo/echo', 1)).body === 1, 10_000);
    expect(await client.request('chat/login', { name: 'ada' })).toEqual({ uid: 'ada' });

    const theirs = new TestAuthority('theirs');
    try {
      const files = theirs.issue('outsider');
      expect(await fail('worker', link(files))).toContain(`The certificate of 127.0.0.1:${port} is not trusted`);
    } finally {
      theirs.remove();
    }
    expect((await client.exchange('echo/echo', 2)).body).toBe(2);
  });

  it('do not start without the files, or with a word in the URL that means nothing', async () => {
    port = await freePort();
    const files = authority.issue('gate');
    const missing = { ...files, keyFile: '/nowhere/to/be.found' };
    const output = await fail('gate', link(missing));
    expect(output).toContain('tls.keyFile (key= in the URL): "/nowhere/to/be.found" cannot be used: ENOENT');
    const url = `tcp://127.0.0.1:${port}?certificate=${files.certFile}`;
    expect(await fail('worker', { NESTGATE_LINK: url })).toContain('allowed: peers, cert, key, ca, checkHost');
  });
});
