import type { Server } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { GateCounters } from '@nestgate/gate';
import {
  type FakeClient,
  type FakeClientOptions,
  type ReceivedFrame,
  type TestCluster,
  waitUntil,
} from '@nestgate/testing';
import type { GatewayApi } from '@nestgate/worker';
import { ACCEPTED, type Arrivals, PushLedger } from '../../faults/support/ledger.js';
import { NO_DEFECTS } from '../../faults/support/no-defects.js';
import { RequestLedger } from '../../faults/support/request-ledger.js';
import { resetRawSockets } from './raw-socket.js';

/** Requests and pushes before the case, and again after it. */
const AROUND = 3;

/** How a neighbour behaves. */
export interface NeighbourOptions {
  readonly connect?: FakeClientOptions;
  /** Time between two rounds of a request and a push in milliseconds. */
  readonly everyMs?: number;
}

const PUSHED = 'fan/msg';

/**
 * A well-behaved client beside one that is not: it asks for echoes all the time and is pushed to all the time, each of which
 * stands in a ledger.
 */
class Neighbour {
  private readonly requests: RequestLedger;
  private readonly pushes: PushLedger;
  private readonly arrivals: Arrivals;
  /** Frames that are neither answers nor what was pushed. */
  private readonly strays: ReceivedFrame[] = [];
  private running = true;

  constructor(
    readonly client: FakeClient,
    private readonly api: GatewayApi,
  ) {
    const { clientId } = client;
    this.requests = new RequestLedger('neighbour', clientId);
    this.pushes = new PushLedger('neighbour', clientId);
    this.arrivals = this.pushes.receiver(clientId);
    client.socket.on('message', data => this.take(JSON.parse((data as Buffer).toString('utf8')) as ReceivedFrame));
  }

  /** Asks, and is pushed to, so many times at once, and waits until all of it has come. */
  async exchange(times: number): Promise<void> {
    const { requests, arrivals, client } = this;
    const [replied, received] = [requests.replied + times, arrivals.seqs.size + times];
    for (let i = 0; i < times; i++) {
      const body = requests.log.intend();
      client.sendRaw(JSON.stringify({ topic: 'echo/echo', body, id: body.seq }));
    }
    await Promise.all(Array.from({ length: times }, () => this.push()));
    await waitUntil("the neighbour's echoes and pushes", () => {
      if (client.closedWith) throw new Error(`The neighbour was closed with ${client.closedWith.code}`);
      return requests.replied >= replied && arrivals.seqs.size >= received;
    });
    // Nobody looks at them here, and a neighbour may live long.
    client.frames.length = 1;
  }

  async goOn(everyMs: number): Promise<void> {
    while (this.running) {
      await this.exchange(1);
      await delay(everyMs);
    }
  }

  stop(): void {
    this.running = false;
  }

  /** Everything exactly once, whole and in order, nothing else, and still connected. */
  check(): void {
    const { client, pushes, requests, strays } = this;
    for (const report of [requests.report(), pushes.report(client.clientId)]) {
      expect(report).toEqual({
        ...NO_DEFECTS,
        errors: {},
        sent: report.sent,
        accepted: report.sent,
        received: report.sent,
      });
    }
    expect(strays).toEqual([]);
    expect(client.closedWith).toBeUndefined();
  }

  private async push(): Promise<void> {
    const { log } = this.pushes;
    const payload = log.intend();
    const isSent = await this.api.sendToClient(this.client.clientId, PUSHED, payload, { confirm: true });
    log.settle(payload.seq, isSent ? ACCEPTED : 'NOT_SENT');
  }

  private take(frame: ReceivedFrame): void {
    if (frame.id !== undefined) this.requests.answer(frame);
    else if (frame.topic === PUSHED) this.arrivals.note(frame.body);
    else this.strays.push(frame);
  }
}

/**
 * Runs a case while a neighbour works: before, during and after it the neighbour must get what it asks for and what is pushed
 * to it. In the end the gate must have forgotten every client and closed every connection.
 */
export async function withNeighbour(
  cluster: TestCluster,
  run: () => Promise<void>,
  { connect = {}, everyMs = 5 }: NeighbourOptions = {},
): Promise<void> {
  const client = await cluster.connect(connect);
  const neighbour = new Neighbour(client, cluster.api);
  try {
    await neighbour.exchange(AROUND);
    const during = neighbour.goOn(everyMs).then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    try {
      await run();
    } finally {
      neighbour.stop();
      await during;
    }
    const failure = await during;
    if (failure) throw failure.error;
    await neighbour.exchange(AROUND);
    neighbour.check();
    expect(await cluster.api.isOnline(client.clientId as never)).toBe(true);
  } finally {
    resetRawSockets();
    await client.close();
  }
  await waitUntil('the gate to forget all clients', async () => (await cluster.api.getAllClientCount()) === 0);
  await waitUntil('all connections to be closed', async () => (await connectionsOf(cluster)) === 0);
}

/** The TCP connections that the gate's server holds. */
export async function connectionsOf(cluster: TestCluster): Promise<number> {
  const server = cluster.gate.app.getHttpServer() as Server;
  return new Promise((resolve, reject) =>
    server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  );
}

/** What the gate has counted, by name and label. */
export function countersOf(cluster: TestCluster): GateCounters {
  return cluster.gate.app.get(GateCounters);
}
