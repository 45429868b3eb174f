import { afterEach, describe, expect, it } from '@jest/globals';
import { GateError } from './errors.js';
import type { ConnectOptions } from './options.js';
import type { TokenReason } from './session/tokens.js';
import { Stage } from './spec/stage.js';
import { MockSocket } from './testing/mock-socket.js';

let stage: Stage;
let reasons: TokenReason[];

/** A client whose tokens are `t1`, `t2` … , each good for this long. */
async function start(lifetimeMs?: number, options: ConnectOptions = {}): Promise<Stage> {
  reasons = [];
  stage = new Stage({
    token(reason) {
      const token = `t${reasons.push(reason)}`;
      return lifetimeMs === undefined ? token : { token, expiresAt: stage.environment.wallNow() + lifetimeMs };
    },
    // The callback asks the clock of the stage, which must be there.
    autoConnect: false,
    ...options,
  });
  stage.gate.connect();
  await stage.environment.advance(0);
  return stage;
}

afterEach(() => {
  stage.gate.close();
  expect(stage.environment.open).toEqual({ timers: 0, watchers: 0 });
});

/** The tokens that were shown, by attempt. */
const shown = (): (string | undefined)[] => stage.sockets.map(({ protocols }) => protocols[2]);

/** The upgrade is refused, as only `ws` shows it. */
function refuse(status: number): void {
  const { socket } = stage;
  expect(socket.onclose).not.toBeNull();
  (socket as unknown as { refuse(status: number): void }).refuse(status);
}

/** A socket as that of `ws`, which says with which status an upgrade was refused. */
function nodeSockets(): Pick<ConnectOptions, 'WebSocket'> {
  return {
    WebSocket: class extends MockSocket {
      private listener: (request: object, response: object) => void = () => undefined;

      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        stage.sockets.push(this);
      }

      on(_event: string, listener: (request: object, response: object) => void): void {
        this.listener = listener;
      }

      refuse(statusCode: number, headers: object = {}): void {
        this.closedWith = { code: 1006, byClient: false };
        this.listener({}, { statusCode, headers });
      }
    },
  };
}

describe('a token', () => {
  it('travels as a subprotocol, or in the query where that is asked for', async () => {
    await start();
    expect(stage.socket.protocols).toEqual(['gate.json.2', 'gate.json', 'bearer.t1']);
    expect(stage.socket.url).toBe('wss://gate.test/gate');
    stage.gate.close();
    await start(undefined, { tokenIn: 'query' });
    expect(stage.socket.protocols).toEqual(['gate.json.2', 'gate.json']);
    expect(stage.socket.url).toBe('wss://gate.test/gate?token=t1');
  });

  it('is asked for again after it has expired, not before', async () => {
    await start(60_000, { renewTopic: false });
    stage.welcome();
    await stage.environment.advance(10_000);
    stage.socket.lose();
    await stage.environment.advance(500);
    expect(shown()).toEqual(['bearer.t1', 'bearer.t1']);
    stage.welcome();
    for (let i = 0; i < 3; i++) {
      await stage.environment.advance(20_000);
      stage.socket.receive({ topic: 'a/b' });
    }
    stage.socket.lose();
    await stage.environment.advance(500);
    expect(shown()).toEqual(['bearer.t1', 'bearer.t1', 'bearer.t2']);
    expect(reasons).toEqual(['connect', 'expired']);
  });

  it('is asked for again after an attempt that failed before the gate has answered: browsers do not say why', async () => {
    await start();
    stage.socket.lose();
    await stage.environment.advance(250);
    expect(shown()).toEqual(['bearer.t1', 'bearer.t2']);
  });

  it('that was refused twice ends the client, where sockets show it', async () => {
    await start(undefined, nodeSockets());
    refuse(401);
    expect(stage.gate.state).toMatchObject({ name: 'waiting' });
    await stage.environment.advance(250);
    expect(reasons).toEqual(['connect', 'refused']);
    refuse(403);
    expect(stage.gate.state).toMatchObject({ name: 'ended', code: 403 });
  });

  it('that was refused once, and then taken, may be refused once more', async () => {
    await start(undefined, nodeSockets());
    for (let round = 0; round < 3; round++) {
      refuse(401);
      await stage.environment.advance(500);
      stage.welcome();
      await stage.environment.advance(5_000);
      stage.socket.lose();
      await stage.environment.advance(500);
    }
    expect(stage.gate.state.name).toBe('connecting');
  });

  it('that the gate lets expire is replaced; twice in a row ends the client', async () => {
    await start();
    stage.welcome();
    stage.socket.lose(1008, 'auth expired');
    expect(stage.gate.state.name).toBe('waiting');
    await stage.environment.advance(500);
    expect(reasons).toEqual(['connect', 'expired']);
    stage.welcome();
    stage.socket.lose(1008, 'auth expired');
    expect(stage.gate.state).toMatchObject({ name: 'ended', code: 1008 });
  });

  it('that expired while the session was away leads to a new session, for which the gate has taken a newer one', async () => {
    await start();
    stage.welcome({ protocol: 'gate.json.2' });
    stage.socket.lose();
    await stage.environment.advance(500);
    stage.socket.accept('gate.json.2');
    const body = { code: 'RESUME_CLOSED', message: 'auth expired', closeCode: 1008 };
    stage.socket.receive({ topic: '$gate/refused', body });
    stage.socket.receive({ topic: '$gate/hello', body: { clientId: 'c2' } });
    expect(stage.gate.state.name).toBe('online');
    expect(stage.of('session').at(-1)).toEqual({ clientId: 'c2', isNew: true, why: 'RESUME_CLOSED' });
  });

  it('that there is none of ends the client: the user has signed out', async () => {
    for (const token of [null, undefined, '']) {
      stage = new Stage({ token: () => token });
      await stage.environment.advance(0);
      expect(stage.gate.state).toMatchObject({ name: 'ended', code: 401 });
      expect(stage.sockets).toHaveLength(0);
    }
  });

  it('whose callback fails is tried again; one that says UNAUTHORIZED ends the client', async () => {
    let error: Error = new TypeError('fetch failed');
    stage = new Stage({
      token: () => {
        throw error;
      },
    });
    await stage.environment.advance(0);
    expect(stage.gate.state).toMatchObject({ name: 'waiting', reason: 'fetch failed' });
    expect(stage.of('error')).toEqual([error]);
    error = new GateError('UNAUTHORIZED');
    await stage.environment.advance(250);
    expect(stage.gate.state).toMatchObject({ name: 'ended', code: 401 });
  });

  it('whose callback never settles is given up like an attempt', async () => {
    stage = new Stage({ token: () => new Promise(() => undefined) });
    await stage.environment.advance(10_000);
    expect(stage.gate.state).toMatchObject({ name: 'waiting', reason: 'connect timeout' });
  });
});

describe('renewing', () => {
  it('shows a newer token on the open connection before the old one expires', async () => {
    await start(600_000);
    stage.welcome();
    const quiet = async (ms: number): Promise<void> => {
      for (let left = ms; left > 0; left -= 20_000) {
        await stage.environment.advance(Math.min(left, 20_000));
        stage.socket.receive({ topic: 'a/b' });
      }
    };
    await quiet(539_000);
    expect(stage.sent).toEqual([]);
    await quiet(2_000);
    expect(stage.sent).toEqual([{ topic: 'auth/refresh', body: { token: 't2' }, id: 1 }]);
    expect(reasons).toEqual(['connect', 'renew']);
    stage.socket.receive({ id: 1, body: { expiresAt: stage.environment.wallNow() + 100_000 } });
    await quiet(81_000);
    // The gate knows better for how long it is good.
    expect(stage.sent.at(-1)).toEqual({ topic: 'auth/refresh', body: { token: 't3' }, id: 2 });
    expect(stage.sockets).toHaveLength(1);
  });

  it('reads when a JSON Web Token expires', async () => {
    const jwt = (exp: number): string =>
      `e30.${Buffer.from(JSON.stringify({ exp, sub: 'ä>?' })).toString('base64url')}.x`;
    stage = new Stage({ autoConnect: false, token: () => jwt(stage.environment.wallNow() / 1_000 + 10) });
    stage.gate.connect();
    await stage.environment.advance(0);
    stage.welcome();
    await stage.environment.advance(8_000);
    expect(stage.sent).toHaveLength(1);
  });

  it('that fails is tried again after 10 s, and is an error event', async () => {
    await start(50_000);
    stage.welcome();
    await stage.environment.advance(20_000);
    stage.socket.receive({ topic: 'a/b' });
    await stage.environment.advance(21_000);
    stage.socket.receive({ id: 1, error: { code: 'NO_HANDLER', message: 'no' } });
    await stage.environment.advance(9_000);
    expect(stage.sent).toHaveLength(1);
    await stage.environment.advance(2_000);
    expect(stage.sent).toHaveLength(2);
    expect(stage.of('error')).toEqual([expect.objectContaining({ code: 'NO_HANDLER' })]);
  });

  it('does not run in a circle on a clock that is wrong', async () => {
    await start(-3_600_000);
    stage.welcome();
    for (let i = 0; i < 10; i++) {
      await stage.environment.advance(5_000);
      const last = stage.sent.at(-1);
      if (last) stage.socket.receive({ id: last['id'], body: null });
    }
    expect(stage.sent.length).toBeLessThanOrEqual(5);
  });

  it('of a token that lives for years sets no timer that overflows', async () => {
    await start(10 * 365 * 86_400_000);
    stage.welcome();
    await stage.environment.advance(20_000);
    expect(stage.sent).toEqual([]);
  });

  it('ends the client when there is no token any more', async () => {
    let token: string | null = 't1';
    stage = new Stage({
      autoConnect: false,
      token: () => token && { token, expiresAt: stage.environment.wallNow() + 10_000 },
    });
    stage.gate.connect();
    await stage.environment.advance(0);
    stage.welcome();
    token = null;
    await stage.environment.advance(8_000);
    expect(stage.gate.state).toMatchObject({ name: 'ended', code: 401 });
  });
});
