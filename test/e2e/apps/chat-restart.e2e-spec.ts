import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { connect, type GateClient } from '@nestgate/client';
import { freePort, waitUntil } from '@nestgate/testing';
import { WebSocket } from 'ws';
import { AppProcess } from '../support/app-process.js';

/** How long an app may take to end after SIGTERM, and its clients to come back, in milliseconds. */
const END_MS = 30_000;

describe('the chat app, ended and started again (NESTGATE_SPOOL_DIR)', () => {
  let folder: string;
  let app: AppProcess | undefined;
  const clients: GateClient[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'nestgate-chat-'));
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await app?.end();
    rmSync(folder, { recursive: true, force: true });
  });

  it('loses and doubles no message and no request of its clients', async () => {
    const env = {
      PORT: String(await freePort()),
      NESTGATE_SPOOL_DIR: join(folder, 'sessions'),
      NESTGATE_MSG_RATE: '0',
    };
    app = await AppProcess.start(env);
    const said: number[][] = [];
    const gaps: unknown[] = [];
    for (const name of ['ann', 'bob', 'eve']) {
      const client = connect(`ws://127.0.0.1:${app.port}/gate`, { WebSocket: WebSocket as never });
      clients.push(client);
      const texts: number[] = [];
      said.push(texts);
      client.on('chat/said', body => texts.push(Number((body as { text: string }).text)));
      client.on('gap', gap => gaps.push(gap));
      await client.request('chat/login', { name });
      await client.request('chat/join', { room: 'hall' });
    }
    const ids = clients.map(({ clientId }) => clientId);
    const [speaker] = clients as [GateClient];
    let last = 0;
    const stop = new AbortController();
    const failures: unknown[] = [];
    // One after another: the order of what is said is known.
    const speaking = (async () => {
      while (!stop.signal.aborted)
        await speaker.request('chat/say', { room: 'hall', text: String(++last) }).catch(e => failures.push(e));
    })();
    await waitUntil('some to be said', () => last > 20);
    app.signal('SIGTERM');
    expect(await app.exitWithin(END_MS)).toEqual({ code: 0, signal: null });
    app = await AppProcess.start(env);
    const { length } = clients;
    await waitUntil(
      'the clients',
      () => clients.filter(({ state }) => state.name === 'online').length === length,
      END_MS,
    );
    const before = last;
    await waitUntil('more to be said', () => last > before + 20);
    stop.abort();
    await speaking;
    const all = Array.from({ length: last }, (_, i) => i + 1);
    await waitUntil('all that was said', () => said.every(({ length }) => length >= last));
    for (const texts of said) expect(texts).toEqual(all);
    expect([failures, gaps, clients.map(({ clientId }) => clientId)]).toEqual([[], [], ids]);
    expect(await speaker.request('chat/who', { room: 'hall' })).toEqual({ uids: ['ann', 'bob', 'eve'] });
  }, 120_000);

  it('does not start with a directory and without sessions', async () => {
    const refused = AppProcess.spawn({ NESTGATE_RESUME: 'off', NESTGATE_SPOOL_DIR: folder });
    expect((await refused.exited).code).not.toBe(0);
    expect(refused.output).toContain('NESTGATE_SPOOL_DIR');
  });
});
