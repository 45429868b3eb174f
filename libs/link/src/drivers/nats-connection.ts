import { setTimeout as sleep } from 'node:timers/promises';
import { type NatsConnection, NatsConnectionImpl } from '@nats-io/transport-node';

/** How long what was accepted may take to leave when a node ends, in milliseconds; and how long its goodbye may. */
const DRAIN_MS = 5_000;
const FLUSH_MS = 1_000;

/**
 * Has the client notice at once that its connection is dead. By itself it first waits for what it has written, which a
 * server that stands still never takes.
 */
export function dropSocket(nats: NatsConnection): void {
  const { socket } = transportOf(nats) as { socket?: { destroy(): void } };
  socket?.destroy();
}

/**
 * Ends a connection, whatever state it is in: a server that stands still, or is not there, must not keep a process from
 * ending. With `drain`, what is under way in both directions is finished first.
 */
export async function endConnection(nats: NatsConnection, drain: boolean): Promise<void> {
  const last = drain ? nats.drain() : nats.flush();
  await Promise.race([last.catch(() => undefined), sleep(drain ? DRAIN_MS : FLUSH_MS, undefined, { ref: false })]);
  await dropConnection(nats);
}

/** Ends a connection that nothing can be sent on. */
export async function dropConnection(nats: NatsConnection): Promise<void> {
  await Promise.race([nats.close(), sleep(FLUSH_MS, undefined, { ref: false })]);
  // An attempt to connect that is under way goes on after `close`, and its socket keeps the process running.
  transportOf(nats).discard?.();
}

function transportOf(nats: NatsConnection): { discard?(): void } {
  return nats instanceof NatsConnectionImpl ? nats.protocol.transport : {};
}
