import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { Payload, RpcException } from '@nestjs/microservices';
import { HandlersModule } from '@nestgate-app/handlers';
import type { GateOptions } from '@nestgate/gate';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { MAX_PUSH_BYTES, OnTopic } from '@nestgate/worker';
import { concatMap, delay, EMPTY, from, NEVER, Observable, of, throwError, timer } from 'rxjs';
import { Journal, OrderTopics } from '../support/order-support.js';

const SECRET = 'secret-7f3a';
let unsubscribed = 0;

/** Handlers that end in every way there is, by name. */
const OUTCOMES: Readonly<Record<string, () => unknown>> = {
  value: () => ({ ok: 1 }),
  promise: () => Promise.resolve([1]),
  nothing: () => undefined,
  nil: () => null,
  observable: () => of(1, 2, 3),
  later: () => from([1, 2, 3]).pipe(concatMap(n => of(n).pipe(delay(2)))),
  promised: () => Promise.resolve(of('a', 'b')),
  empty: () => EMPTY,
  throws: () => {
    throw new Error(SECRET);
  },
  rejects: () => Promise.reject(new Error(SECRET)),
  throwsText: () => {
    throw SECRET as unknown as Error;
  },
  rejectsNothing: () => Promise.reject(undefined as unknown as Error),
  systemError: () => Promise.reject(Object.assign(new Error(SECRET), { code: 'ENOENT' })),
  errors: () => throwError(() => new Error(SECRET)),
  errorsLater: () => timer(2).pipe(concatMap(() => throwError(() => new Error(SECRET)))),
  coded: () => Promise.reject(new RpcException({ code: 'CODED', message: 'told', details: { n: 1 } })),
  codedStream: () => throwError(() => new RpcException({ code: 'CODED', message: 'told', details: { n: 1 } })),
  bigint: () => ({ n: 1n }),
  cycle: () => {
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    return cycle;
  },
  function: () => () => 1,
  symbol: () => Symbol('x'),
  toJson: () => ({ toJSON: () => JSON.parse('{') as unknown }),
  bigintStream: () => of(1n),
  huge: () => 'x'.repeat(2 * MAX_PUSH_BYTES),
  never: () => new Promise(() => undefined),
  neverStream: () => NEVER,
  ticking: () =>
    new Observable<number>(subscriber => {
      subscriber.next(1);
      return () => void unsubscribed++;
    }),
};

@Controller()
class OutcomeTopics {
  @OnTopic('outcome/of')
  of(@Payload() name: string): unknown {
    return OUTCOMES[name]?.();
  }
}

describe.each([0, 1])('outcomes of handlers (%d workers)', workers => {
  let cluster: TestCluster;
  let journal: Journal;

  afterEach(async () => {
    journal.open();
    await cluster.close();
  });

  async function start(gate: GateOptions = {}): Promise<FakeClient> {
    journal = new Journal();
    cluster = await createTestCluster({
      workers,
      gate,
      handlers: {
        imports: [HandlersModule],
        controllers: [OrderTopics, OutcomeTopics],
        providers: [{ provide: Journal, useValue: journal }],
      },
    });
    return cluster.connect();
  }

  it('replies with values, of an Observable with the last one', async () => {
    const client = await start();
    const replies = [
      ['value', { ok: 1 }],
      ['promise', [1]],
      ['nothing', null],
      ['nil', null],
      ['observable', 3],
      ['later', 3],
      ['promised', 'b'],
      ['empty', null],
    ] as const;
    for (const [name, reply] of replies) {
      expect([name, await client.exchange('outcome/of', name)]).toEqual([
        name,
        { id: expect.any(Number), body: reply },
      ]);
    }
  });

  it('masks what is thrown, however it is thrown', async () => {
    const client = await start();
    const names = ['throws', 'rejects', 'throwsText', 'rejectsNothing', 'systemError', 'errors', 'errorsLater'];
    for (const name of names) {
      const answer = await client.exchange('outcome/of', name);
      expect([name, answer.error]).toEqual([name, { code: 'INTERNAL', message: 'Internal server error' }]);
      client.send('outcome/of', name);
    }
    await waitUntil('the errors without an id', () => client.pushes('$gate/error').length === names.length);
    expect(JSON.stringify(client.frames)).not.toContain(SECRET);
  });

  it('passes on the code, message and details of an RpcException', async () => {
    const client = await start();
    for (const name of ['coded', 'codedStream']) {
      const { error } = await client.exchange('outcome/of', name);
      expect([name, error]).toEqual([name, { code: 'CODED', message: 'told', details: { n: 1 } }]);
    }
  });

  it.each(['bigint', 'cycle', 'function', 'symbol', 'toJson', 'bigintStream', 'huge'])(
    'answers INTERNAL for a %s that cannot be sent, and the client lives',
    async name => {
      const client = await start();
      expect((await client.exchange('outcome/of', name)).error).toEqual({
        code: 'INTERNAL',
        message: 'Internal server error',
      });
      // Nobody asked for this one's result, so that there is nothing to send.
      client.send('outcome/of', name);
      expect(await client.request('outcome/of', 'value')).toEqual({ ok: 1 });
      expect(client.closedWith).toBeUndefined();
    },
  );

  it.each(['never', 'neverStream'])('answers TIMEOUT for %s, and goes on with the next frame', async name => {
    const client = await start({ requestTimeout: 120 });
    expect((await client.exchange('outcome/of', name)).error?.code).toBe('TIMEOUT');
    expect(await client.request('echo/echo', 'next')).toBe('next');
    client.send('outcome/of', name);
    expect((await client.push('$gate/error')).body).toMatchObject({ code: 'TIMEOUT', topic: 'outcome/of' });
    expect(await client.request('echo/echo', 'next')).toBe('next');
  });

  it('unsubscribes from an Observable that has not completed by its deadline', async () => {
    const client = await start({ requestTimeout: 120 });
    unsubscribed = 0;
    expect((await client.exchange('outcome/of', 'ticking')).error?.code).toBe('TIMEOUT');
    await waitUntil('the stream to be let go', () => unsubscribed === 1, 1_000);
  });

  it('never starts a frame whose time has passed while it waited', async () => {
    const client = await start({ requestTimeout: 120 });
    const first = client.ask('order/hold', 'held');
    const behind = client.ask('order/step', { n: 1, turns: 0 });
    for (const id of [first, behind]) expect((await client.answer(id)).error?.code).toBe('TIMEOUT');
    expect(await client.request('order/step', { n: 2, turns: 0 })).toBe(2);
    expect(journal.entries).toEqual(['start held', 'start 2', 'end 2']);
  });

  it('drops late results and late errors', async () => {
    const client = await start({ requestTimeout: 120 });
    const late = client.ask('order/hold', 'held');
    expect((await client.answer(late)).error?.code).toBe('TIMEOUT');
    await journal.release('held');
    await waitUntil('the handler to end', () => journal.entries.includes('end held'));
    client.sendRaw(`{"topic":"echo/echo","body":"the same id again","id":${late}}`);
    await waitUntil('the answer', () => client.frames.some(frame => frame.body === 'the same id again'));
    expect(client.frames.filter(frame => frame.id === late).length).toBe(2);
    expect(client.frames.filter(frame => frame.body === 'held')).toEqual([]);
  });

  it('keeps one client unharmed by the failures of another', async () => {
    const bad = await start({ requestTimeout: 200 });
    const good = await cluster.connect();
    const faults = ['throws', 'rejects', 'errors', 'bigint', 'cycle', 'never', 'coded'];
    const ids = faults.map(name => bad.ask('outcome/of', name));
    for (let n = 0; n < 30; n++) expect(await good.request('echo/echo', n)).toBe(n);
    for (const id of ids) expect((await bad.answer(id)).error).toBeDefined();
    expect(await bad.request('echo/echo', 'alive')).toBe('alive');
  });
});
