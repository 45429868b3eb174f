import type { Server } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { GateCounters } from '@nestgate/gate';
import { type FakeClient, type FakeClientOptions, type TestCluster, waitUntil } from '@nestgate/testing';
import { resetRawSockets } from './raw-socket.js';

/** Requests before the case, and again after it. */
const AROUND = 3;

/** How a neighbour behaves. */
export interface NeighbourOptions {
  readonly connect?: FakeClientOptions;
  /** Time between two requests in milliseconds. */
  readonly everyMs?: number;
}

/** A well-behaved client beside one that is not: it asks for numbered echoes all the time and keeps a ledger. */
class Neighbour {
  private asked = 0;
  private running = true;

  constructor(private readonly client: FakeClient) {}

  async ask(): Promise<void> {
    const seq = ++this.asked;
    const answer = await this.client.exchange('echo/echo', { seq });
    expect(answer).toEqual({ id: seq, body: { seq } });
  }

  async askAtOnce(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.ask()));
  }

  async keepAsking(everyMs: number): Promise<void> {
    while (this.running) {
      await this.ask();
      await delay(everyMs);
    }
  }

  stop(): void {
    this.running = false;
  }

  /** Every answer exactly once and in order, nothing else, and still connected. */
  check(): void {
    const [hello, ...frames] = this.client.frames;
    expect(hello?.topic).toBe('$gate/hello');
    expect(frames.map(frame => frame.id)).toEqual(Array.from({ length: this.asked }, (_, i) => i + 1));
    expect(this.client.closedWith).toBeUndefined();
  }
}

/**
 * Runs a case while a neighbour works: before, during and after it the neighbour must get what it asks for. In the end
 * the gate must have forgotten every client and closed every connection.
 */
export async function withNeighbour(
  cluster: TestCluster,
  run: () => Promise<void>,
  { connect = {}, everyMs = 5 }: NeighbourOptions = {},
): Promise<void> {
  const client = await cluster.connect(connect);
  const neighbour = new Neighbour(client);
  try {
    await neighbour.askAtOnce(AROUND);
    const during = neighbour.keepAsking(everyMs).then(
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
    await neighbour.askAtOnce(AROUND);
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
