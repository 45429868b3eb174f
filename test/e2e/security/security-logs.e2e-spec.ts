import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { ConsoleLogger, Controller, Injectable, type LoggerService } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import {
  HandshakeHandler,
  type HandshakeRequest,
  MemoryStorage,
  RouteHandler,
  SendMessageHook,
  SessionLearner,
  StorageHandler,
} from '@nestgate/gate';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { ClientSession, OnTopic, SafeLogger, Session } from '@nestgate/worker';
import { AppProcess } from '../support/app-process.js';

/** Sequences that a terminal or a log viewer would not treat as text. */
const HOSTILE = 'x\r\n[Nest] 1 - ERROR fake\x1b[2J\x1b]0;title\x07\u2028\u2029\u0085\u202e\u2066\u200b';
/** Line ends of our own lines aside, none of it may be in an output. */
const UNSAFE = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\u200b]/;
const FLOOD = 400;

/** What a client sends comes back as the text of an error, as it does with many libraries. */
const fail = (text: unknown): never => {
  throw new Error(String(text));
};

@Controller()
class FailingTopics {
  @OnTopic('fail/now')
  now(@Payload() text: string) {
    fail(text);
  }

  @OnTopic('fail/later')
  async later(@Payload() text: string, @ClientSession() session: Session) {
    await session.toSend('fail/sent', text);
    fail(text);
  }

  @OnTopic('fail/bind')
  async bind(@Payload() text: string, @ClientSession() session: Session) {
    await session.toBind(text);
  }

  @OnTopic('fail/push')
  push(@Payload() text: string, @ClientSession() session: Session) {
    return session.toSend('fail/hook', text);
  }
}

@Injectable()
class FailingHandshake extends HandshakeHandler {
  handshake({ query }: HandshakeRequest) {
    const { late, fail: text } = query;
    if (text) fail(text);
    return late ? { settings: { late } } : {};
  }
}

@Injectable()
class FailingRoute extends RouteHandler {
  onRoute(_session: Session, topic: string, body: unknown) {
    return topic === 'route/fail' ? fail(body) : false;
  }
}

@Injectable()
class FailingHook extends SendMessageHook {
  onSend(_session: Session, topic: string, body: unknown) {
    return topic === 'fail/hook' ? fail(body) : body;
  }
}

@Injectable()
class FailingLearner extends SessionLearner {
  onConnect(session: Session) {
    if (session.get('late')) fail(session.get('late'));
  }

  onDisconnect(session: Session) {
    fail(`${session.userId}${HOSTILE}`);
  }
}

class FailingStorage extends MemoryStorage {
  override async query(userId: string): Promise<never> {
    return fail(`no ${userId}${HOSTILE}`);
  }
}

describe('a client that makes the apps log', () => {
  let cluster: TestCluster | undefined;
  let output = '';

  beforeEach(() => {
    output = '';
    for (const stream of [process.stdout, process.stderr]) {
      jest.spyOn(stream, 'write').mockImplementation(text => {
        output += String(text);
        return true;
      });
    }
  });
  afterEach(async () => {
    await cluster?.close();
    cluster = undefined;
    jest.restoreAllMocks();
  });

  async function start(logger: LoggerService, workers = 1): Promise<FakeClient> {
    cluster = await createTestCluster({
      workers,
      handlers: { controllers: [FailingTopics] },
      setup: app => app.useLogger(logger),
      gate: {
        messageRate: 0,
        maxConnectionRate: 0,
        maxConnectionsPerIp: 0,
        providers: [
          { provide: HandshakeHandler, useClass: FailingHandshake },
          { provide: RouteHandler, useClass: FailingRoute },
          { provide: SendMessageHook, useClass: FailingHook },
          { provide: SessionLearner, useClass: FailingLearner },
          { provide: StorageHandler, useFactory: () => new FailingStorage() },
        ],
      },
    });
    return cluster.connect();
  }

  const isFrame = (line: string) => /^ +at /.test(line);
  const lines = () => output.split('\n').filter(line => line !== '' && !isFrame(line));

  const floods: readonly (readonly [what: string, attack: (client: FakeClient, n: number) => Promise<unknown>])[] = [
    ['errors of a RouteHandler', client => client.exchange('route/fail', HOSTILE)],
    ['errors of a SendMessageHook', client => client.exchange('fail/push', HOSTILE)],
    ['uids that no storage takes', (client, n) => client.exchange('fail/bind', `u${n}\u2028\u202e`)],
    [
      'connections that fail late, and end',
      async () => {
        const client = await (cluster as TestCluster).connect({ path: `?late=${encodeURIComponent(HOSTILE)}` });
        await client.closed;
      },
    ],
  ];

  it.each(floods)('with %s writes few lines, and clean ones, with any logger', async (_what, attack) => {
    const client = await start(new ConsoleLogger({ colors: false }));
    output = '';
    const started = performance.now();
    for (let n = 0; n < FLOOD; n += 50) await Promise.all(Array.from({ length: 50 }, (_, i) => attack(client, n + i)));
    await waitUntil('the lines', () => output.includes('not logged'));
    const seconds = Math.ceil((performance.now() - started) / 1_000);
    expect(output.split('\n').find(line => UNSAFE.test(line))).toBeUndefined();
    // Each error has two lines, its own and the first one of its stack; one more tells how many were left out.
    expect(lines().length).toBeLessThanOrEqual((seconds + 1) * 2 * 21 + 4);
    expect(lines().length).toBeLessThan(FLOOD);
    expect((await client.exchange('$gate/ping')).error).toBeUndefined();
  });

  it('with handshakes that fail does neither, with the SafeLogger', async () => {
    await start(new SafeLogger({ colors: false }));
    output = '';
    const path = `?fail=${encodeURIComponent(HOSTILE)}`;
    const started = performance.now();
    for (let n = 0; n < FLOOD; n += 50) {
      const attempts = Array.from({ length: 50 }, () => (cluster as TestCluster).connect({ path }));
      for (const { status } of await Promise.allSettled(attempts)) expect(status).toBe('rejected');
    }
    await waitUntil('the summary', () => output.includes('not logged'));
    const seconds = Math.ceil((performance.now() - started) / 1_000);
    expect(output.split('\n').find(line => UNSAFE.test(line))).toBeUndefined();
    // Nest's ExceptionsHandler logs each of them too.
    expect(lines().length).toBeLessThanOrEqual((seconds + 1) * 2 * 42 + 4);
  });

  it.each([0, 1])('with errors of handlers does neither, with the SafeLogger and %i workers', async workers => {
    const client = await start(new SafeLogger({ colors: false }), workers);
    // The log of topics is one for all apps of a process: the test before this one may have used what it takes in a second.
    await setTimeout(1_000);
    output = '';
    const started = performance.now();
    for (let n = 0; n < FLOOD; n += 40) {
      const asked = Array.from({ length: 20 }, () => [
        client.ask('fail/now', HOSTILE),
        client.ask('fail/later', HOSTILE),
      ]);
      for (const id of asked.flat()) expect((await client.answer(id)).error?.code).toBe('INTERNAL');
    }
    await waitUntil('the summary', () => /\d+ more lines (?:\(error\) )?were not logged/.test(output));
    const seconds = Math.ceil((performance.now() - started) / 1_000);
    expect(output.split('\n').find(line => UNSAFE.test(line))).toBeUndefined();
    expect(output).toContain('x\\u000d\\u000a[Nest] 1 - ERROR fake\\u001b[2J');
    expect(lines().length).toBeLessThanOrEqual((seconds + 1) * 42);
    expect(lines().length).toBeLessThan(FLOOD);
  });
});

describe('a client that floods the chat app', () => {
  it('fills no log, whatever it sends', async () => {
    const app = await AppProcess.start({ LOG_LEVEL: 'verbose', NESTGATE_MSG_RATE: '0', NO_COLOR: '1' });
    try {
      const client = await app.connect();
      const before = app.output.split('\n').length;
      const started = performance.now();
      for (let n = 0; n < 1_000; n++) {
        client.send('echo/fail', {});
        client.send('echo/fail', { code: HOSTILE });
        client.send('chat/login', { name: `u${n}\u2028\u202e` });
        client.send('chat/login', { name: HOSTILE });
        client.send('chat/join', { room: `r\u2066${n % 50}` });
        client.send('echo/fail', HOSTILE);
        client.send(`echo/none-${n}`);
        client.send(`echo/${HOSTILE}`);
      }
      await client.request('echo/echo', 1, 15_000);
      await waitUntil('the summary', () => /\d+ more lines (?:\(error\) )?were not logged/.test(app.output));
      const seconds = Math.ceil((performance.now() - started) / 1_000);
      // Not the output itself, of which a failure would print thousands of lines.
      expect(app.output.split('\n').find(line => UNSAFE.test(line))).toBeUndefined();
      // 20 errors a second, with a stack of 20 frames at most each.
      expect(app.output.split('\n').length - before).toBeLessThanOrEqual((seconds + 1) * 20 * 23);
      expect(app.output.match(/\[GateTransport\]/g)?.length ?? 0).toBeLessThanOrEqual((seconds + 1) * 21);
    } finally {
      await app.end();
    }
  });
});
