import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Injectable } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import {
  Gate,
  HandshakeHandler,
  type HandshakeRequest,
  type HandshakeResult,
  type ResumeOptions,
} from '@nestgate/gate';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { ClientSession, OnConnect, OnDetach, OnDisconnect, OnResume, OnTopic, type Session } from '@nestgate/worker';
import { ResumeClient } from '../support/resume-client.js';

const hooks: string[] = [];
let never: (() => void)[] = [];

@Controller()
class SpoolTopics {
  @OnConnect()
  connect(): void {
    hooks.push('connect');
  }

  @OnDisconnect()
  disconnect(@Payload() { reason }: { reason: string }): void {
    hooks.push(`disconnect ${reason}`);
  }

  @OnDetach()
  detach(@Payload() { code }: { code: number }): void {
    hooks.push(`detach ${code}`);
  }

  @OnResume()
  resume(): void {
    hooks.push('resume');
  }

  @OnTopic('spool/who')
  who(@ClientSession() session: Session): unknown {
    return { id: session.clientId, uid: session.userId, color: session.get('color') };
  }

  @OnTopic('spool/paint')
  async paint(@ClientSession() session: Session): Promise<void> {
    await session.toSet('color', 'red');
  }

  @OnTopic('spool/never')
  async never(): Promise<void> {
    await new Promise<void>(resolve => never.push(resolve));
  }
}

@Injectable()
class Tokens extends HandshakeHandler {
  handshake({ query }: HandshakeRequest): HandshakeResult {
    return { userId: query['uid'] as string | undefined };
  }
}

describe('a gate that is started again (resume.spoolDir)', () => {
  let parent: string;
  let spoolDir: string;
  let gates: TestCluster[];
  let clients: ResumeClient[];

  async function start(resume: ResumeOptions = {}, nodeId?: string): Promise<TestCluster> {
    const gate = await createTestCluster({
      gate: {
        resume: { spoolDir, ...resume },
        nodeId,
        drainTimeout: 300,
        providers: [{ provide: HandshakeHandler, useClass: Tokens }],
      },
      handlers: { controllers: [SpoolTopics] },
    });
    gates.push(gate);
    return gate;
  }
  async function stop(cluster: TestCluster): Promise<void> {
    gates.splice(gates.indexOf(cluster), 1);
    await cluster.close();
  }
  async function open({ gate }: TestCluster, query = ''): Promise<ResumeClient> {
    const client = await ResumeClient.open(gate.url + query);
    clients.push(client);
    return client;
  }
  const comeBack = async (client: ResumeClient, { gate }: TestCluster): Promise<string> => {
    client.url = gate.url + new URL(client.url).search;
    return (await client.resume()).clientId;
  };
  const refusalsOf = (client: ResumeClient): unknown[] =>
    client.ownOf('refused').map(body => (body as { code: string }).code);
  const countOf = ({ gate }: TestCluster, counter: 'spools_refused' | 'sessions_spooled', label: string): number =>
    gate.app.get(Gate).counters.get(counter, label);

  beforeEach(() => {
    hooks.length = 0;
    never = [];
    gates = [];
    clients = [];
    parent = mkdtempSync(join(tmpdir(), 'nestgate-spool-'));
    spoolDir = join(parent, 'sessions');
  });
  afterEach(async () => {
    for (const client of clients) client.cut();
    for (const release of never) release();
    for (const gate of gates) await gate.close();
    rmSync(parent, { recursive: true, force: true });
  });

  it('goes on with all its sessions: id, uid, settings, groups, and what had not arrived', async () => {
    const first = await start();
    const [client, away] = [await open(first, '?uid=ann'), await open(first)];
    const { clientId } = client;
    await client.request('spool/paint');
    await first.api.joinGroup([clientId, away.clientId], 'room');
    await first.api.sendToGroup('room', 'p/p', 1);
    await waitUntil('the push', () => away.pushed('p/p').length === 1 && client.pushed('p/p').length === 1);
    away.cut();
    await waitUntil('it to be away', async () => (await first.api.getClientState(away.clientId)) === 'away');
    client.isAcking = false;
    await first.api.sendToGroup('room', 'p/p', 2);
    const awayId = away.clientId;
    await stop(first);
    expect(await client.closed()).toBe(1012);
    expect(hooks).toEqual(['connect', 'connect', 'detach 1006', 'detach 1012']);

    const second = await start();
    expect(readdirSync(spoolDir)).toEqual([]);
    // For pushes it is there before its client is.
    await second.api.sendToGroup('room', 'p/p', 3);
    await second.api.sendToClient(clientId, 'p/p', 4);
    expect([await comeBack(client, second), await comeBack(away, second)]).toEqual([clientId, awayId]);
    await second.api.sendToUid('ann', 'p/p', 5);
    await waitUntil('the pushes', () => client.pushed('p/p').length === 5 && away.pushed('p/p').length === 3);
    expect([client.pushed('p/p'), away.pushed('p/p')]).toEqual([
      [1, 2, 3, 4, 5],
      [1, 2, 3],
    ]);
    expect(await client.request('spool/who')).toEqual({ id: clientId, uid: 'ann', color: 'red' });
    expect([client.gaps, away.gaps]).toEqual([[], []]);
    expect(hooks.slice(4)).toEqual(['resume', 'resume']);
    // And once more: tickets, counts and keys are those of the session.
    await stop(second);
    const third = await start();
    expect(await comeBack(client, third)).toBe(clientId);
    await third.api.sendToClient(clientId, 'p/p', 6);
    await waitUntil('the push', () => client.pushed('p/p').length === 6);
    expect(hooks.filter(line => line.startsWith('disconnect'))).toEqual([]);
  });

  it('ends sessions whose time is over, with their hooks, and remembers how others have ended', async () => {
    const first = await start({ keepGuestMs: 1_000 });
    const [late, kicked] = [await open(first), await open(first, '?uid=bob')];
    await first.api.closeClient(kicked.clientId);
    await kicked.closed();
    hooks.length = 0;
    await stop(first);
    const second = await start({ keepGuestMs: 10 });
    await waitUntil('the end', () => hooks.includes('disconnect expired'));
    await comeBack(late, second);
    await comeBack(kicked, second);
    expect([refusalsOf(late), refusalsOf(kicked)]).toEqual([['RESUME_EXPIRED'], ['RESUME_CLOSED']]);
  });

  it('ends the requests that the gate could not wait for: they may have been handled', async () => {
    const first = await start();
    const client = await open(first);
    const id = client.ask('spool/never');
    await waitUntil('it runs', () => never.length === 1);
    const stopping = stop(first);
    expect(await client.closed()).toBe(1012);
    never[0]?.();
    await stopping;
    const second = await start();
    await comeBack(client, second);
    expect((await client.answer(id)).error).toMatchObject({ code: 'WORKER_LOST' });
  });

  it('takes only what is its own, and serves without what cannot be used', async () => {
    const [one, two] = [await start({}, 'one'), await start({}, 'two')];
    const [a, b] = [await open(one), await open(two)];
    const [idA, idB] = [a.clientId, b.clientId];
    await stop(one);
    await stop(two);
    expect(readdirSync(spoolDir)).toHaveLength(2);
    const again = await start({}, 'one');
    expect([countOf(again, 'sessions_spooled', 'read'), readdirSync(spoolDir).length]).toEqual([1, 1]);
    expect(await comeBack(a, again)).toBe(idA);
    chmodSync(join(spoolDir, readdirSync(spoolDir)[0] as string), 0o644);
    const other = await start({}, 'two');
    expect(countOf(other, 'spools_refused', 'mode')).toBe(1);
    expect(await comeBack(b, other)).not.toBe(idB);
    expect(refusalsOf(b)).toEqual(['RESUME_LOST']);
    chmodSync(spoolDir, 0o755);
    const open3 = await start({}, 'three');
    expect(countOf(open3, 'spools_refused', 'folder')).toBe(1);
    expect((await open(open3)).clientId).toContain('three.');
    await stop(open3);
    expect(readdirSync(spoolDir)).toEqual([]);
  });

  it('ends sessions as usual when they cannot be written', async () => {
    const first = await start();
    const client = await open(first);
    hooks.length = 0;
    rmSync(spoolDir, { recursive: true });
    await stop(first);
    expect(await client.closed()).toBe(1012);
    expect([countOf(first, 'spools_refused', 'unwritten'), hooks.at(-1)]).toEqual([1, 'disconnect gate restarting']);
  });
});
