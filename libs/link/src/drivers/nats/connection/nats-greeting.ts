import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Time limit for the INFO message of a server, in milliseconds. */
const GREETING_MS = 2_000;
/** How long the others are waited for when one has, so that not all nodes take the one that is fastest. */
const GRACE_MS = 200;

/**
 * Finds the servers that send their INFO message. The client library would abandon a connection to a hanging server and leave it
 * open: that server would find it, and this process hold it, for minutes.
 * @throws {Error} of the first server, when there is none.
 */
export async function findServers(servers: readonly string[], stopped: AbortSignal): Promise<string[]> {
  const over = new AbortController();
  const signal = AbortSignal.any([stopped, over.signal, AbortSignal.timeout(GREETING_MS)]);
  const found = new Set<string>();
  const greetings = servers.map(async server => {
    await greeting(server, signal);
    found.add(server);
  });
  try {
    await Promise.any(greetings);
    await Promise.race([Promise.allSettled(greetings), sleep(GRACE_MS, undefined, { ref: false })]);
    return servers.filter(server => found.has(server));
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error;
  } finally {
    over.abort();
  }
}

async function greeting(server: string, signal: AbortSignal): Promise<void> {
  const colon = server.lastIndexOf(':');
  const socket = connect(Number(server.slice(colon + 1)), server.slice(0, colon).replaceAll(/[[\]]/g, ''));
  try {
    await once(socket, 'data', { signal });
  } catch (error) {
    throw signal.aborted ? new Error('it does not answer') : error;
  } finally {
    // What comes of it from now on is of no interest.
    socket.on('error', () => undefined);
    socket.destroy();
  }
}
