import { afterEach, describe, expect, it } from '@jest/globals';
import type { ConnectOptions, GateState } from './options.js';
import { Stage } from './spec/stage.js';

let stage: Stage;

/** A client that is online. The heartbeat is 25 s. */
function online(options?: ConnectOptions): Stage {
  stage = new Stage(options);
  stage.welcome();
  return stage;
}

const pings = (): number => stage.control.filter(({ topic }) => topic === '$gate/ping').length;
const pong = (): void => stage.socket.receive({ topic: '$gate/pong' });

afterEach(() => {
  stage.gate.close();
  expect(stage.environment.open).toEqual({ timers: 0, watchers: 0 });
});

describe('the heartbeat', () => {
  it('pings a quiet connection, and takes any frame for a sign of life', async () => {
    const { environment, gate } = online();
    for (let round = 0; round < 10; round++) {
      stage.socket.receive({ topic: 'a/b' });
      await environment.advance(25_000);
    }
    expect(pings()).toBe(0);
    for (let n = 1; n < 5; n++) {
      await environment.advance(25_000);
      expect(pings()).toBe(n);
      // The pong does not put off the next ping.
      pong();
    }
    await environment.advance(25_000 + 9_999);
    stage.socket.receive({ topic: 'a/b' });
    await environment.advance(15_000);
    expect(gate.state.name).toBe('online');
  });

  it('gives up a connection whose pong does not come within 10 s', async () => {
    const { environment, gate } = online();
    await environment.advance(25_000 + 9_999);
    expect(gate.state.name).toBe('online');
    await environment.advance(1);
    expect(gate.state).toMatchObject({ name: 'waiting', code: 1006, reason: 'no pong' });
    expect(gate.stats.pingTimeouts).toBe(1);
    expect(stage.live).toBe(0);
  });

  it.each([
    [100, 25_000],
    [-1, 25_000],
    ['x', 25_000],
    [1_000, 1_000],
    [9e12, 3_600_000],
  ])('of %p, as the gate says it, is every %i ms', async (heartbeatMs, expected) => {
    stage = new Stage();
    stage.welcome({ heartbeatMs });
    await stage.environment.advance(expected - 1);
    expect(pings()).toBe(0);
    await stage.environment.advance(1);
    expect(pings()).toBe(1);
  });
});

describe('a hidden tab (react-use-websocket #273, online-go #3406)', () => {
  it('waits for no pong, because its timers are throttled', async () => {
    const { environment, gate } = online();
    environment.hide();
    await environment.advance(3_600_000);
    expect(pings()).toBe(0);
    expect(gate.state.name).toBe('online');
  });

  it('does not wait for the pong of a ping from before either', async () => {
    const { environment, gate } = online();
    await environment.advance(25_000);
    expect(pings()).toBe(1);
    environment.hide();
    await environment.advance(60_000);
    expect(gate.state.name).toBe('online');
  });

  it('that becomes visible pings once, and gives the gate two seconds', async () => {
    const { environment, gate } = online();
    environment.hide();
    await environment.advance(600_000);
    environment.hide(false);
    environment.hide(false);
    expect(pings()).toBe(1);
    pong();
    await environment.advance(2_000);
    expect(gate.state.name).toBe('online');
    environment.hide(false);
    await environment.advance(1_999);
    expect(gate.state.name).toBe('online');
    await environment.advance(1);
    expect(gate.state).toMatchObject({ name: 'waiting', reason: 'no pong' });
  });

  it('that becomes visible while it waits tries again at once', async () => {
    const { environment } = online();
    environment.hide();
    stage.socket.lose();
    environment.hide(false);
    await environment.advance(0);
    expect(stage.sockets).toHaveLength(2);
  });
});

describe('after sleep (azure-webpubsub #700: it looks connected, and is not)', () => {
  it('one ping with two seconds finds out, at the next heartbeat', async () => {
    const { environment, gate } = online();
    environment.sleep(3_600_000);
    await environment.advance(25_000);
    expect(pings()).toBe(1);
    await environment.advance(2_000);
    expect(gate.state).toMatchObject({ name: 'waiting', reason: 'no pong' });
  });

  it('or as soon as something is sent', async () => {
    const { environment, gate } = online();
    // A timer may be late by half a heartbeat.
    environment.sleep(37_500);
    gate.send('a/b');
    expect(pings()).toBe(0);
    environment.sleep(1);
    gate.send('a/b');
    gate.send('a/b');
    expect(pings()).toBe(1);
    await environment.advance(2_000);
    expect(gate.state.name).toBe('waiting');
  });

  it('a clock that was set back changes nothing', async () => {
    const { environment, gate } = online();
    environment.sleep(-3_600_000);
    await environment.advance(24_999);
    gate.send('a/b');
    expect(pings()).toBe(0);
    await environment.advance(1);
    gate.send('a/b');
    expect(pings()).toBe(1);
    await environment.advance(9_999);
    expect(gate.state.name).toBe('online');
  });
});

describe('the network', () => {
  it('that is gone pauses the attempts; when it is back, one follows within 500 ms', async () => {
    const { environment, gate } = online();
    environment.setNetwork(false);
    expect(pings()).toBe(1);
    await environment.advance(2_000);
    expect(gate.state).toMatchObject({ name: 'waiting', retryAt: null });
    await environment.advance(3_600_000);
    expect(stage.sockets).toHaveLength(1);
    environment.chance = 0.999;
    environment.setNetwork(true);
    expect((gate.state as Extract<GateState, { name: 'waiting' }>).retryAt).toBeCloseTo(
      environment.wallNow() + 500,
      -1,
    );
    await environment.advance(500);
    expect(stage.sockets).toHaveLength(2);
  });

  it('that goes while an attempt waits pauses it', async () => {
    const { environment, gate } = online();
    stage.socket.lose();
    environment.setNetwork(false);
    expect(gate.state).toMatchObject({ name: 'waiting', retryAt: null });
    await environment.advance(60_000);
    expect(stage.sockets).toHaveLength(1);
  });

  it('that comes back while connected is checked by a ping', () => {
    const { environment } = online();
    environment.setNetwork(true);
    expect(pings()).toBe(1);
  });
});

describe('a page', () => {
  it('that is frozen makes no attempts, and checks when it goes on', async () => {
    const { environment, gate } = online();
    await environment.advance(25_000);
    expect(pings()).toBe(1);
    environment.send('freeze');
    environment.sleep(60_000);
    await environment.advance(11_000);
    expect(gate.state.name).toBe('online');
    environment.send('resume');
    expect(pings()).toBeGreaterThan(1);
    stage.socket.lose();
    environment.send('freeze');
    await environment.advance(60_000);
    expect(gate.state).toMatchObject({ name: 'waiting', retryAt: null });
    environment.send('resume');
    await environment.advance(0);
    expect(stage.sockets).toHaveLength(2);
  });

  it('that goes into the back/forward cache closes its socket, which would keep it out, and comes back with a new one', async () => {
    const { environment, gate } = online();
    environment.send('suspend');
    expect(stage.socket.closedWith).toEqual({ code: undefined, byClient: true });
    expect(gate.state).toMatchObject({ name: 'waiting', retryAt: null });
    await environment.advance(60_000);
    expect(stage.sockets).toHaveLength(1);
    environment.send('resume');
    await environment.advance(0);
    stage.welcome();
    expect(gate.state.name).toBe('online');
  });

  it('can be woken by hand, as in React Native', async () => {
    const { environment, gate } = online();
    gate.wake();
    expect(pings()).toBe(1);
    stage.socket.lose();
    gate.wake();
    await environment.advance(0);
    expect(stage.sockets).toHaveLength(2);
  });
});
