import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { connect, type GateClient, GateError } from '@nestgate/client';
import { frameCodec } from '@nestgate/client/frame';
import { call, contract, type } from '@nestgate/contract';
import { Delegater, GateCounters } from '@nestgate/gate';
import {
  BinaryClient,
  createTestCluster,
  type FakeClient,
  jsonOf,
  type TestCluster,
  waitUntil,
} from '@nestgate/testing';
import type { StandardSchema } from '@nestgate/protocol';
import { WebSocket } from 'ws';
import { LINKS, LinkSupply } from '../support/links.js';

const flag: StandardSchema<boolean> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: value => (typeof value === 'boolean' ? { value } : { issues: [{ message: 'no boolean' }] }),
  },
};
const ui = contract('ui', { confirm: call({ body: type<{ question: string }>(), reply: flag }) });

describe.each(LINKS)('calls to clients over %s', name => {
  let supply: LinkSupply;
  let cluster: TestCluster;
  let client: FakeClient;

  beforeAll(async () => {
    supply = await LinkSupply.open(name);
    cluster = await createTestCluster({
      gates: 2,
      workers: 1,
      handlers: { imports: [HandlersModule] },
      gate: { messageRate: 0, resume: { keepMs: 20_000, keepGuestMs: 20_000 } },
      link: await supply.forCluster(2, { meshed: true }),
    });
  });
  beforeEach(async () => {
    client = await cluster.connect({ gate: 1 });
  });
  afterEach(() => client.close());
  afterAll(async () => {
    await cluster.close();
    await supply.close();
  });

  /** The next call that the client gets and has not been waited for. */
  async function asked(of = client, from = 0): Promise<{ ask: number; topic?: string | undefined; body?: unknown }> {
    const found = await waitUntil('a call', () => of.frames.filter(({ ask }) => ask !== undefined)[from]);
    return { ...found, ask: found.ask ?? 0 };
  }
  const answer = (fields: object, of = client): void => of.sendRaw(JSON.stringify(fields));

  it('reach the client, and resolve with its answer, or reject with its error', async () => {
    const first = cluster.api.call(client.clientId, 'ui/confirm', { question: 'sure?' });
    const { ask, ...frame } = await asked();
    expect([frame, ask]).toEqual([{ topic: 'ui/confirm', body: { question: 'sure?' } }, 1]);
    answer({ answer: ask, body: { yes: true } });
    expect(await first).toEqual({ yes: true });
    const second = cluster.api.call(client.clientId, 'ui/confirm');
    const failed = expect(second).rejects.toMatchObject({ code: 'BUSY', message: 'later' });
    answer({ answer: (await asked(client, 1)).ask, error: { code: 'BUSY', message: 'later' } });
    await failed;
    const third = cluster.api.call(client.clientId, 'ui/confirm');
    const masked = expect(third).rejects.toMatchObject({ code: 'INTERNAL' });
    answer({ answer: (await asked(client, 2)).ask, error: { code: 'NODE_LOST', message: 'forged' } });
    await masked;
  });

  it('of one client are answered in any order, and 32 at most are open', async () => {
    const calls = Array.from({ length: 32 }, (_, i) => cluster.api.call<number>(client.clientId, 'ui/n', i));
    await asked(client, 31);
    await expect(cluster.api.call(client.clientId, 'ui/n')).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    for (const { ask, body } of client.frames.filter(frame => frame.ask !== undefined).toReversed()) {
      answer({ answer: ask, body: Number(body) * 2 });
    }
    expect(await Promise.all(calls)).toEqual(calls.map((_, i) => i * 2));
  });

  it('end by their deadline, and with their client; late answers are counted', async () => {
    const gate = cluster.gates[1]?.app.get(GateCounters);
    const before = gate?.get('frames_ignored', 'answer') ?? 0;
    await expect(cluster.api.call(client.clientId, 'ui/confirm', 1, { timeoutMs: 50 })).rejects.toMatchObject({
      code: 'TIMEOUT',
    });
    await sleep(60);
    answer({ answer: (await asked()).ask, body: 1 });
    answer({ answer: 99, body: 1 });
    await waitUntil('both are counted', () => gate?.get('frames_ignored', 'answer') === before + 2);
    const other = await cluster.connect({ gate: 0 });
    const lost = expect(cluster.api.call(other.clientId, 'ui/confirm')).rejects.toMatchObject({
      code: 'SESSION_NOT_FOUND',
    });
    await asked(other);
    await other.close();
    await lost;
    await expect(cluster.api.call(other.clientId, 'ui/confirm')).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND' });
    await expect(cluster.api.call(client.clientId, 'not a topic')).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
  });

  it('of a handler to its own client do not wait for each other, whatever its credit is', async () => {
    const ids = Array.from({ length: 20 }, (_, i) => client.ask('ask/me', { topic: 'ui/n', body: i }));
    for (let i = 0; i < 20; i++) answer({ answer: (await asked(client, i)).ask, body: i });
    const replies = await Promise.all(ids.map(id => client.answer(id)));
    expect(replies.map(({ body }) => body)).toEqual(ids.map((_, i) => i));
    const failing = client.ask('ask/me', { topic: 'ui/n' });
    answer({ answer: (await asked(client, 20)).ask, error: { code: 'NO_TEA', message: 'none' } });
    expect((await client.answer(failing)).error).toEqual({ code: 'NO_TEA', message: 'none' });
    expect((await client.exchange('ask/me', { topic: 'ui/n', timeoutMs: 30 })).error?.code).toBe('TIMEOUT');
  });

  it('of a uid: the first answer, or those of all', async () => {
    const uid = `ada-${name}`;
    const other = await cluster.connect({ gate: 0 });
    await client.request('chat/login', { name: uid });
    await other.request('chat/login', { name: uid });
    const first = cluster.api.callUid(uid, 'ui/n');
    answer({ answer: (await asked()).ask, error: { code: 'NO', message: '' } });
    answer({ answer: (await asked(other)).ask, body: 'me' }, other);
    expect(await first).toBe('me');
    const all = cluster.api.callUid(uid, 'ui/n', undefined, { wait: 'all' });
    answer({ answer: (await asked(client, 1)).ask, error: { code: 'NO', message: '' } });
    answer({ answer: (await asked(other, 1)).ask, body: 'me' }, other);
    const answers = await all;
    expect(answers).toHaveLength(2);
    expect(answers.find(({ clientId }) => clientId === other.clientId)).toMatchObject({ body: 'me' });
    expect(answers.find(({ clientId }) => clientId === client.clientId)?.error).toMatchObject({ code: 'NO' });
    await expect(cluster.api.callUid('nobody', 'ui/n')).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND' });
    await other.close();
  });

  it.each([undefined, frameCodec({ decodeBody: bytes => JSON.parse(Buffer.from(bytes).toString()) as unknown })])(
    'are typed by a contract, and answered by the client library',
    async codec => {
      const url = cluster.gates[0]?.url ?? '';
      const gate: GateClient<typeof ui> = connect<typeof ui>(url, {
        WebSocket: WebSocket as never,
        ...(codec && { codec }),
      });
      let reply: boolean = true;
      gate.handle('ui/confirm', ({ question }) => {
        if (question === '') throw new GateError('EMPTY', 'nothing was asked');
        return reply;
      });
      const clientId = await waitUntil('a session', () => gate.clientId);
      expect(await cluster.api.call(clientId, ui.confirm, { question: 'sure?' })).toBe(true);
      await expect(cluster.api.call(clientId, ui.confirm, { question: '' })).rejects.toMatchObject({ code: 'EMPTY' });
      reply = 'yes' as never;
      await expect(cluster.api.call(clientId, ui.confirm, { question: 'sure?' })).rejects.toMatchObject({
        code: 'BAD_REQUEST',
      });
      await expect(cluster.api.call(clientId, 'ui/other', {})).rejects.toMatchObject({ code: 'NO_HANDLER' });
      gate.close();
    },
  );

  it('need a codec that has them', async () => {
    const frame = await BinaryClient.overWs(cluster.gates[0]?.url ?? '', { codec: 'frame' });
    const hello = await waitUntil('a hello', () => frame.messages.find(({ kind }) => kind === 6));
    const { clientId } = jsonOf<{ clientId: string }>(hello);
    const asking = cluster.api.call(clientId, 'ui/n', Buffer.from('raw'));
    const ask = await waitUntil('a call', () => frame.messages.find(({ kind }) => kind === 20));
    expect([ask.topic, ask.body.toString()]).toEqual(['ui/n', 'raw']);
    frame.sendFrame(21, ask.id, '', { n: 1 });
    expect(await asking).toEqual({ n: 1 });
    const failing = expect(cluster.api.call(clientId, 'ui/n')).rejects.toMatchObject({ code: 'NO', message: 'no' });
    const next = await waitUntil('a call', () => frame.messages.filter(({ kind }) => kind === 20)[1]);
    frame.sendFrame(22, next.id, '', { code: 'NO', message: 'no' });
    await failing;
    frame.destroy();
    const pack = await BinaryClient.overWs(cluster.gates[0]?.url ?? '');
    const agents = cluster.gates[0]?.app.get(Delegater);
    const agent = await waitUntil('the agent', () =>
      [...(agents?.sessions() ?? [])].find(each => each.wire.codec === 'gate.pack'),
    );
    await expect(cluster.api.call(agent.session.clientId, 'ui/n')).rejects.toMatchObject({ code: 'NO_HANDLER' });
    pack.destroy();
  });
});
