import { setTimeout as sleep } from 'node:timers/promises';
import { type NatsConnection, NatsConnectionImpl } from '@nats-io/transport-node';

/** Time limits at shutdown, in milliseconds: for draining accepted messages, and for a flush without drain. */
const DRAIN_MS = 5_000;
const FLUSH_MS = 1_000;

/**
 * Destroys the socket, so that the client detects the dead connection immediately. Otherwise the client first waits for its
 * pending writes, which a stopped server never reads.
 */
export function dropSocket(nats: NatsConnection): void {
  const { socket } = transportOf(nats) as { socket?: { destroy(): void } };
  socket?.destroy();
}

/**
 * Closes a connection in any state. A stopped or unreachable server must not keep the process alive. With `drain`, messages
 * in flight in both directions are finished first.
 */
export async function endConnection(nats: NatsConnection, drain: boolean): Promise<void> {
  const last = drain ? nats.drain() : nats.flush();
  await Promise.race([last.catch(() => undefined), sleep(drain ? DRAIN_MS : FLUSH_MS, undefined, { ref: false })]);
  await dropConnection(nats);
}

/** Closes a connection that cannot send any more. */
export async function dropConnection(nats: NatsConnection): Promise<void> {
  await Promise.race([nats.close(), sleep(FLUSH_MS, undefined, { ref: false })]);
  // A connection attempt in progress continues after `close`, and its socket would keep the process alive.
  transportOf(nats).discard?.();
}

function transportOf(nats: NatsConnection): { discard?(): void } {
  return nats instanceof NatsConnectionImpl ? nats.protocol.transport : {};
}
