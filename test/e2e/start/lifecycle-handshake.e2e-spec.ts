import { afterEach, describe, expect, it } from '@jest/globals';
import {
  BadRequestException,
  type CanActivate,
  type ExecutionContext,
  HttpException,
  type INestApplication,
  type INestMicroservice,
  Injectable,
  type Provider,
  ServiceUnavailableException,
  type Type,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { HandlersModule } from '@nestgate-app/handlers';
import {
  type GateOptions,
  HandshakeHandler,
  type HandshakeRequest,
  type HandshakeResult,
  SessionLearner,
} from '@nestgate/gate';
import { createTestCluster, type FakeClient, type TestCluster, UpgradeRefused, waitUntil } from '@nestgate/testing';
import type { Session } from '@nestgate/worker';
import { endOf, NotingLearner, ScriptedHandshake } from '../support/lifecycle-support.js';

/** Lets in who has a token, and says who that is. */
@Injectable()
class TokenGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    if (context.getType() !== 'http') return true;
    const request = context.switchToHttp().getRequest<HandshakeRequest>();
    const { token } = request.query;
    if (token === undefined) throw new UnauthorizedException('No token');
    if (token === 'stolen') return false;
    request.user = { name: token };
    return true;
  }
}

@UseGuards(TokenGuard)
class GuardedClass extends HandshakeHandler {
  override handshake(request: HandshakeRequest): HandshakeResult {
    return { userId: (request.user as { name: string }).name };
  }
}

class GuardedMethod extends HandshakeHandler {
  @UseGuards(TokenGuard)
  override handshake(request: HandshakeRequest): HandshakeResult {
    return { userId: (request.user as { name: string }).name };
  }
}

@UseGuards(new TokenGuard())
class GuardedByInstance extends HandshakeHandler {
  override handshake(request: HandshakeRequest): HandshakeResult {
    return { userId: (request.user as { name: string }).name };
  }
}

/** Relies on a global guard. */
class Unguarded extends HandshakeHandler {
  override handshake(request: HandshakeRequest): HandshakeResult {
    return { userId: (request.user as { name: string }).name };
  }
}

describe('the handshake', () => {
  let cluster: TestCluster;

  afterEach(() => cluster?.close());

  async function start(
    handler:
      { useClass: Type<HandshakeHandler> } | { useValue: HandshakeHandler } | { useFactory: () => HandshakeHandler },
    more: {
      gate?: GateOptions;
      learner?: NotingLearner;
      app?: Provider[];
      setup?: (app: INestApplication | INestMicroservice) => void;
    } = {},
  ): Promise<void> {
    cluster = await createTestCluster({
      handlers: { imports: [HandlersModule], providers: more.app ?? [] },
      gate: {
        ...more.gate,
        providers: [
          { provide: HandshakeHandler, ...handler },
          { provide: SessionLearner, useValue: more.learner ?? new NotingLearner() },
        ],
      },
      setup: more.setup,
    });
  }

  async function status(query = '', client?: (accepted: FakeClient) => void): Promise<number> {
    try {
      const accepted = await cluster.connect({ path: query });
      client?.(accepted);
      return 101;
    } catch (error) {
      if (error instanceof UpgradeRefused) return error.status;
      throw error;
    }
  }

  it('gives the session its uid, settings and userData before the first frame', async () => {
    const handshake = new ScriptedHandshake();
    const learner = new NotingLearner();
    await start({ useValue: handshake }, { learner });
    const requests: HandshakeRequest[] = [];
    handshake.script = async request => {
      requests.push(request);
      await new Promise(resolve => setImmediate(resolve));
      return { userId: 'ada', settings: { role: 'admin', tags: [1] }, userData: { secret: 7 } };
    };
    let atConnect: Pick<Session, 'userId' | 'userData'> | undefined;
    learner.greet = ({ userId, userData }) => void (atConnect = { userId, userData });
    const client = await cluster.connect({ path: '?a=1&b=%20x', headers: { cookie: 'sid=s%201; other=2' } });
    expect(await client.request('session/get')).toEqual({
      clientId: client.clientId,
      userId: 'ada',
      settings: { role: 'admin', tags: [1] },
    });
    expect(atConnect).toEqual({ userId: 'ada', userData: { secret: 7 } });
    expect(await cluster.api.getClientIdByUid('ada')).toEqual([client.clientId]);
    expect(requests[0]).toMatchObject({
      method: 'GET',
      url: '/gate?a=1&b=%20x',
      path: '/gate',
      query: { a: '1', b: ' x' },
      cookies: { sid: 's 1', other: '2' },
      ip: '127.0.0.1',
      codec: 'gate.json',
    });
    await client.close();
    const departure = await waitUntil('the departure', () => learner.departureOf(client.clientId));
    expect(departure).toMatchObject({ userId: 'ada', userData: { secret: 7 } });
  });

  it('answers with the status of an HttpException, and masks any other error with 500', async () => {
    const handshake = new ScriptedHandshake();
    await start({ useValue: handshake });
    const refusals: [number, () => never | Promise<never>][] = [
      [400, () => fail(new BadRequestException())],
      [401, () => Promise.reject(new UnauthorizedException())],
      [402, () => fail(new HttpException('Pay first', 402))],
      [429, () => fail(new HttpException('Slow down', 429))],
      [500, () => fail(new Error('a bug'))],
      [500, () => Promise.reject(undefined as unknown as Error)],
      [503, () => fail(new ServiceUnavailableException())],
    ];
    const seen: number[] = [];
    for (const [, script] of refusals) {
      handshake.script = script;
      seen.push(await status());
    }
    expect(seen).toEqual(refusals.map(([code]) => code));
    handshake.script = () => undefined;
    expect(await status()).toBe(101);
    expect(await cluster.api.getAllClientCount()).toBe(1);
  });

  it('takes a status in the result for what it is: a field, unless it is that of an HTTP error', async () => {
    const handshake = new ScriptedHandshake();
    await start({ useValue: handshake });
    const seen: number[] = [];
    const results: [number, object][] = [
      [101, { userId: 'ada', status: 'active' }],
      [101, { userId: 'ada', status: 1 }],
      [101, { userId: 'ada', status: 404, message: 'out of office' }],
      [101, { status: 'active' }],
      [101, { status: 200 }],
      [101, { status: 302 }],
      [101, { status: 600 }],
      [101, { status: '403' }],
      [101, { status: 403.5 }],
      [101, { refused: true, accepted: false, message: 'hello' }],
      [403, { status: 403 }],
      [401, { status: 401, message: 'Not you' }],
      [503, { status: 503, message: { a: 1 } }],
    ];
    for (const [, result] of results) {
      handshake.script = () => result;
      seen.push(await status());
    }
    expect(seen).toEqual(results.map(([code]) => code));
  });

  it('answers with an HTTP error, whatever number an exception has as its status', async () => {
    const handshake = new ScriptedHandshake();
    await start({ useValue: handshake });
    for (const bad of ['active', 42, 200, 600, 1e9, Number.NaN]) {
      handshake.script = () => fail(new HttpException('no', bad as number));
      expect(await status()).toBe(500);
    }
  });

  it.each([
    ['of its class', { useClass: GuardedClass }],
    ['of its method', { useClass: GuardedMethod }],
    ['that are instances, of a value', { useValue: new GuardedByInstance() }],
  ])('runs the guards %s', async (_where, handler) => {
    await start(handler);
    expect(await status()).toBe(401);
    expect(await status('?token=stolen')).toBe(403);
    expect(await status('?token=ada')).toBe(101);
    expect(await cluster.api.getAllUidList()).toEqual(['ada']);
  });

  it.each([
    ['the class of a value', { useValue: new GuardedClass() }],
    ['the method of a value', { useValue: new GuardedMethod() }],
    ['the class of what a factory makes', { useFactory: () => new GuardedClass() }],
  ])('does not start with guards that Nest would pass over: of %s', async (_where, handler) => {
    await expect(start(handler)).rejects.toThrow(/^HandshakeHandler Guarded\w+: TokenGuard would not run/);
  });

  it.each([
    ['useGlobalGuards', []],
    ['APP_GUARD', [{ provide: APP_GUARD, useClass: TokenGuard }]],
  ])('runs global guards of %s, and topics pass them too', async (how, app) => {
    const setup = (target: INestApplication | INestMicroservice) => void target.useGlobalGuards(new TokenGuard());
    await start({ useClass: Unguarded }, how === 'APP_GUARD' ? { app } : { setup });
    expect(await status()).toBe(401);
    expect(await status('?token=stolen')).toBe(403);
    let client: FakeClient | undefined;
    expect(await status('?token=ada', accepted => (client = accepted))).toBe(101);
    expect(await client?.request('session/get')).toMatchObject({ userId: 'ada' });
  });

  it('gives up on a handshake that takes too long', async () => {
    const handshake = new ScriptedHandshake();
    await start({ useValue: handshake }, { gate: { overTime: 100 } });
    handshake.script = () => new Promise(() => undefined);
    expect(await status()).toBe(408);
    handshake.script = () => undefined;
    expect(await status()).toBe(101);
  });

  it('counts no client whose connection ends during its handshake', async () => {
    const handshake = new ScriptedHandshake();
    const learner = new NotingLearner();
    await start({ useValue: handshake }, { learner, gate: { maxConnections: 1 } });
    let go: () => void = () => undefined;
    let request: HandshakeRequest | undefined;
    handshake.script = asked => {
      request = asked;
      return new Promise(resolve => (go = () => resolve({})));
    };
    const failed = status();
    await waitUntil('the handshake', () => request);
    expect(await status()).toBe(503);
    request?.raw.socket.destroy();
    await expect(failed).rejects.toThrow();
    go();
    handshake.script = () => undefined;
    expect(await status()).toBe(101);
    expect(learner.arrived.length).toBe(1);
  });

  it('closes a client whose uid or settings cannot be used, with 1011', async () => {
    const handshake = new ScriptedHandshake();
    await start({ useValue: handshake }, { gate: { maxSettingsBytes: 100 } });
    const unusable: HandshakeResult[] = [
      { userId: 'x'.repeat(129) },
      { userId: 'a\nb' },
      { settings: { big: 'x'.repeat(200) } },
      { settings: { '': 1 } },
    ];
    for (const result of unusable) {
      handshake.script = () => result;
      expect([result, await endOf(cluster.gate.url)]).toEqual([result, 1011]);
    }
    handshake.script = () => ({ userId: 'fine' });
    expect(await status()).toBe(101);
    expect(await cluster.api.getAllUidList()).toEqual(['fine']);
    expect(await cluster.api.getAllClientCount()).toBe(1);
  });
});

function fail(error: Error): never {
  throw error;
}
