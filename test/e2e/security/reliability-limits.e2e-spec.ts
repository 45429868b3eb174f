import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { GateCounters } from '@nestgate/gate';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { expectCode } from '../../support/codes.js';

/** A limit that is passed: what a client does, and what is counted then. */
interface Row {
  readonly name: string;
  readonly counter: Parameters<GateCounters['get']>[0];
  readonly label: string | number;
  /** How often; once unless told otherwise. */
  readonly by?: number | 'some';
  act(client: FakeClient, cluster: TestCluster): Promise<unknown>;
}

const ROWS: readonly Row[] = [
  {
    name: 'maxGroups',
    counter: 'limits_exceeded',
    label: 'groups',
    act: async ({ clientId }, { api }) => {
      for (let i = 0; i < 2; i++) await api.joinGroup(clientId, `group-${i}`);
      // Where it is already it may stay.
      await api.joinGroup(clientId, 'group-0');
      await expectCode(api.joinGroup(clientId, 'one-more'), 'LIMIT_EXCEEDED');
    },
  },
  {
    name: 'maxSettingsBytes',
    counter: 'limits_exceeded',
    label: 'settings',
    by: 2,
    act: async ({ clientId }, { api }) => {
      const large = 'x'.repeat(300);
      await expectCode(api.updateSession(clientId, { large }), 'LIMIT_EXCEEDED');
      await expectCode(api.setSession(clientId, { large }), 'LIMIT_EXCEEDED');
      await expectCode(api.updateSession(clientId, { 'bad\nkey': 1 }), 'BAD_ARGUMENT');
    },
  },
  {
    name: 'messageRate',
    counter: 'frames_refused',
    label: 'RATE_LIMITED',
    by: 'some',
    act: async client => {
      // Twice as many as may come in a second are let through, and those for which there is time.
      for (let i = 0; i < 200; i++) client.sendRaw('{"topic":"$gate/ping"}');
      const { body } = await client.push('$gate/error');
      expect(body).toMatchObject({ code: 'RATE_LIMITED' });
    },
  },
  {
    name: 'requestTimeout',
    counter: 'frames_refused',
    label: 'TIMEOUT',
    act: async client => {
      expect((await client.exchange('echo/slow', { ms: 600 })).error?.code).toBe('TIMEOUT');
    },
  },
  {
    name: 'maxJsonDepth',
    counter: 'frames_refused',
    label: 'BAD_FRAME',
    act: async client => {
      client.sendRaw(`{"topic":"echo/echo","body":${'['.repeat(8)}${']'.repeat(8)}}`);
      await client.push('$gate/error');
    },
  },
  {
    name: 'maxPackSize',
    counter: 'connections_closed',
    label: 1009,
    act: async client => {
      client.sendRaw('x'.repeat(2_049));
      expect(await client.closed).toMatchObject({ code: 1009 });
    },
  },
  {
    name: 'heartOverTimer',
    counter: 'connections_closed',
    label: 4003,
    act: async client => {
      // Neither reads pings nor answers them.
      client.socket.pause();
    },
  },
];

describe('a limit that acts is counted:', () => {
  let cluster: TestCluster;

  beforeEach(async () => {
    cluster = await createTestCluster({
      handlers: { imports: [HandlersModule] },
      gate: {
        maxGroups: 2,
        maxSettingsBytes: 256,
        messageRate: 50,
        requestTimeout: 200,
        maxJsonDepth: 4,
        maxPackSize: 2_048,
        pingInterval: 100,
        heartOverTimer: 500,
      },
    });
  });
  afterEach(() => cluster.close());

  it.each(ROWS)('$name as $counter $label', async ({ act, counter, label, by = 1 }) => {
    const client = await cluster.connect();
    const counters = cluster.gate.app.get(GateCounters);
    expect(counters.get(counter, label)).toBe(0);
    await act(client, cluster);
    await waitUntil(`${counter} ${label}`, () => counters.get(counter, label) > 0);
    if (by !== 'some') expect(counters.get(counter, label)).toBe(by);
  });
});
