import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { NatsProcess, TcpRelay, waitUntil } from '@nestgate/testing';
import { connect, headers, type NatsConnection, type Status } from '@nats-io/transport-node';
import { DOCS_USERS, docsConfig, forgedFrame, NatsNodes, nodeInfo, urlAs } from './support/link-nats-support.js';

type Role = keyof typeof DOCS_USERS;

/** A connection with a user of the cluster that violates the rules. */
class Intruder {
  readonly refusals: string[] = [];
  readonly heard: string[] = [];

  private constructor(readonly nats: NatsConnection) {
    void this.watch();
  }

  static async come(server: NatsProcess, role: Role): Promise<Intruder> {
    const [user, pass] = DOCS_USERS[role].split(':');
    return new Intruder(await connect({ servers: `127.0.0.1:${server.port}`, user, pass }));
  }

  listen(subject: string): void {
    this.nats.subscribe(subject, { callback: (error, msg) => void (error ?? this.heard.push(msg.subject)) });
  }

  private async watch(): Promise<void> {
    for await (const status of this.nats.status()) {
      const { type, error } = status as Status & { error?: Error };
      if (type === 'error' && error) this.refusals.push(error.message);
    }
  }
}

describe('NATS with the permissions of the docs', () => {
  const nodes = new NatsNodes();
  const intruders: Intruder[] = [];
  let server: NatsProcess;

  beforeAll(async () => {
    server = await NatsProcess.start({ config: docsConfig() });
  });
  afterEach(async () => {
    for (const { nats } of intruders.splice(0)) await nats.close();
    await nodes.end();
  });
  afterAll(() => server.end());

  const open = (id: string, role: Role) => nodes.open(id, role, urlAs(server.url, DOCS_USERS[role]));

  async function intrude(role: Role): Promise<Intruder> {
    const intruder = await Intruder.come(server, role);
    intruders.push(intruder);
    return intruder;
  }

  it('lets gates, workers and services do what they have to do', async () => {
    const [g1, g2] = [await open('g1', 'gate'), await open('g2', 'gate')];
    const [worker, api] = [await open('w1', 'worker'), await open('a1', 'api')];
    await Promise.all([
      g1.meets('g2', 'w1', 'a1'),
      g2.meets('g1', 'w1', 'a1'),
      worker.meets('g1', 'g2'),
      api.meets('g1'),
    ]);
    // Workers and services have to do with gates only.
    expect([...worker.link.peers().keys()].sort()).toEqual(['g1', 'g2']);
    await g1.link.join('group:a');
    for (const one of [g1, g2, worker, api]) {
      for (const other of [g1, g2, worker, api]) {
        if (one.knows(other.info.id)) expect(one.link.send(other.info.id, Buffer.from('hello'))).toBe('sent');
      }
      if (one !== g1) expect(one.link.cast('group:a', Buffer.from('to a'))).toBe('sent');
      expect(one.link.cast('*', Buffer.from('to all'))).toBe('sent');
    }
    await waitUntil('all of it', () => g1.frames.length === 9 && g2.frames.length === 6);
    await waitUntil('the answers', () => worker.frames.length === 2 && api.frames.length === 2);
    worker.link.announce({ ...worker.info, draining: true });
    await waitUntil('the change', () => g1.link.peers().get('w1')?.draining === true);
    await worker.link.close({ drain: true });
    await waitUntil('the leave', () => !g1.knows('w1') && !g2.knows('w1'));
    expect(g1.story('w1')).toEqual(['join e1', 'change e1', 'leave']);
    for (const { link, warnings } of [g1, g2, worker, api]) {
      expect(link.counters).toEqual({ denied: 0, dropped: 0, broken: 0 });
      expect(warnings).toEqual([]);
    }
  });

  it('lets the server say that a node is gone, with the next frame to it', async () => {
    const relay = await TcpRelay.start(server.port);
    const worker = await nodes.open('w1', 'worker', urlAs(`nats://127.0.0.1:${relay.port}`, DOCS_USERS.worker));
    const gate = await open('g1', 'gate');
    await gate.meets('w1');
    await relay.end();
    await waitUntil('the break', () => worker.statuses.includes(false));
    const startedAt = Date.now();
    await waitUntil('the loss', () => {
      gate.link.send('w1', Buffer.from('are you there?'));
      return !gate.knows('w1');
    });
    expect(Date.now() - startedAt).toBeLessThan(1_000);
    expect(gate.story('w1')).toEqual(['join e1', 'lost']);
  });

  it.each(['worker', 'api'] as const)('keeps a %s from hearing what is for gates and for others', async role => {
    const intruder = await intrude(role);
    const other = role === 'worker' ? 'api' : 'worker';
    const subjects = [
      'nestgate.>',
      'nestgate.gate.>',
      `nestgate.${other}.>`,
      'nestgate.*.*.*.from.gate',
      'nestgate.channel.*',
      'nestgate.channel.all',
      'nestgate.info.*',
      '>',
    ];
    for (const subject of subjects) intruder.listen(subject);
    await waitUntil('the refusals', () => intruder.refusals.length === subjects.length);
    for (const subject of subjects) expect(intruder.refusals.join('\n')).toContain(`Subscription to "${subject}"`);
  });

  it('keeps a worker from speaking as a gate', async () => {
    const [gate, worker] = [await open('g1', 'gate'), await open('w1', 'worker')];
    await Promise.all([gate.meets('w1'), worker.meets('g1')]);
    const intruder = await intrude('worker');
    const posing = JSON.stringify(nodeInfo('g2', 'gate'));
    const gone = headers(503, 'No Responders');
    const attempts = [
      ['nestgate.info.gate', posing],
      ['nestgate.bye.gate', JSON.stringify(gate.info)],
      ['nestgate.worker.w1.e1.from.gate', forgedFrame(gate.info, 1, 'obey')],
      ['nestgate.gate.g1.e1.from.gate', forgedFrame(worker.info, 1, 'obey')],
      ['nestgate.worker.w1.e1.lost.g1.e1', ''],
      ['nestgate.gate.g1.e1.lost.w1.e1', ''],
    ] as const;
    for (const [subject, body] of attempts)
      intruder.nats.publish(subject, body, { headers: body === '' ? gone : undefined });
    await waitUntil('the refusals', () => intruder.refusals.length === attempts.length);
    for (const [subject] of attempts) expect(intruder.refusals.join('\n')).toContain(`Publish to "${subject}"`);
    expect(worker.frames).toEqual([]);
    expect(worker.story('g1')).toEqual(['join e1']);
    expect(gate.story('w1')).toEqual(['join e1']);
  });

  it('keeps a worker from being believed when it says as a worker that it is a gate', async () => {
    const [g1, g2, w1] = [await open('g1', 'gate'), await open('g2', 'gate'), await open('w1', 'worker')];
    await Promise.all([g1.meets('g2', 'w1'), g2.meets('g1', 'w1'), w1.meets('g1', 'g2')]);
    const intruder = await intrude('worker');
    const say = (subject: string, body: unknown) => intruder.nats.publish(subject, JSON.stringify(body));
    say('nestgate.info.worker', nodeInfo('g3', 'gate'));
    say('nestgate.info.worker', { ...g2.info, role: 'worker' });
    say('nestgate.info.worker', { ...g2.info, role: 'worker', epoch: 'e2' });
    say('nestgate.bye.worker', g2.info);
    say('nestgate.bye.worker', { ...g2.info, role: 'worker' });
    // A frame in the name of the other gate, whatever the tag of their meeting is.
    for (let tag = 0; tag < 10; tag++) {
      intruder.nats.publish('nestgate.gate.g1.e1.from.worker', forgedFrame(g2.info, tag, 'obey'));
    }
    await intruder.nats.flush();
    g2.link.send('g1', Buffer.from('the real one'));
    await waitUntil('the real one', () => g1.texts('g2').includes('the real one'));
    expect(g1.frames).toHaveLength(1);
    expect(g1.link.counters.dropped).toBe(10);
    expect(g1.story('g2')).toEqual(['join e1']);
    expect(g1.knows('g3')).toBe(false);
    expect(g1.link.peers().get('g2')).toEqual(g2.info);
    expect(g1.warnings).toEqual([expect.stringContaining('is not believed')]);
  });

  it.each(['worker', 'api'] as const)('does not let a gate start as a %s, and says why', async role => {
    const gate = nodes.make('g1', 'gate', urlAs(server.url, DOCS_USERS[role]));
    await expect(gate.open()).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringMatching(/NATS does not permit this node to (publish|subscribe) to nestgate\./),
    });
  });

  // Each line of each role is needed: without it, a node of that role cannot start, or warns of what it cannot do.
  const config = docsConfig();
  const lines = (['gate', 'worker', 'api'] as const).flatMap(role => {
    const [, block = ''] = new RegExp(`^  ${role}: \\{([\\s\\S]*?)^  \\}`, 'm').exec(config) ?? [];
    const texts = block.split('subscribe:');
    return (['publish', 'subscribe'] as const).flatMap((kind, i) =>
      Array.from((texts[i] ?? '').matchAll(/"([^"]+)"/g), ([, subject]) => ({ role, kind, subject, block })),
    );
  });

  it('reads the lines of the docs', () => {
    expect(lines).toHaveLength(11 + 10 + 10);
  });

  it.each(lines)('needs what the docs permit: a $role $kind $subject', async ({ role, kind, subject, block }) => {
    const [publish = '', subscribe = ''] = block.split('subscribe:');
    const without = (text: string) => text.replace(`"${subject}"`, '"nothing.at.all"');
    const changed =
      kind === 'publish' ? `${without(publish)}subscribe:${subscribe}` : `${publish}subscribe:${without(subscribe)}`;
    const strict = await NatsProcess.start({ config: config.replace(block, changed) });
    try {
      const as = (id: string, its: Role) => nodes.make(id, its, urlAs(strict.url, DOCS_USERS[its]));
      const [gate, worker, api] = [as('g1', 'gate'), as('w1', 'worker'), as('a1', 'api')];
      const all = [gate, worker, api];
      const codes: unknown[] = [];
      for (const one of all) await one.open().catch((error: unknown) => codes.push((error as { code: string }).code));
      const hasStarted = codes.length === 0;
      if (hasStarted) {
        for (const one of all) {
          one.link.cast('group:a', Buffer.from('x'));
          const other = one === gate ? worker : gate;
          // A second node of an id asks the first one.
          await as(one.info.id, one.info.role)
            .open()
            .catch(() => undefined);
          one.link.send(other.info.id, Buffer.from('x'));
          await one.link.close({ drain: true });
        }
      }
      const denied = all.find(({ info }) => info.role === role)?.link.counters.denied ?? 0;
      expect(denied).toBeGreaterThan(0);
      if (!hasStarted) expect(codes).toEqual(['FORBIDDEN']);
    } finally {
      await nodes.end();
      await strict.end();
    }
  });

  it('warns of what is not permitted any more, counts it, and gets over it when it is again', async () => {
    const [gate, worker] = [await open('g1', 'gate'), await open('w1', 'worker')];
    await Promise.all([gate.meets('w1'), worker.meets('g1')]);
    server.reload(docsConfig().replaceAll('"nestgate.channel.*"', '"nestgate.no-channel.*"'));
    await waitUntil('the refusal', () => {
      worker.link.cast('*', Buffer.from('x'));
      return worker.link.counters.denied > 0;
    });
    for (let i = 0; i < 100; i++) worker.link.cast('*', Buffer.from('x'));
    await waitUntil('the count', () => worker.link.counters.denied > 50);
    const told = worker.warnings.filter(text => text.includes('permit'));
    expect(told).toEqual(['NATS does not permit this node to publish to nestgate.channel.all']);
    await expect(gate.link.join('group:a')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    server.reload(docsConfig());
    const before = gate.frames.length;
    await waitUntil('a cast', async () => {
      await gate.link.join('group:b').catch(() => gate.link.leave('group:b'));
      worker.link.cast('group:b', Buffer.from('again'));
      return gate.frames.length > before;
    });
  });
});
