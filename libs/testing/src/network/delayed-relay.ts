import { type AddressInfo, createServer, type Server, Socket } from 'node:net';
import { assertKnownOptions, optionKeys, present } from '@nestgate/link/internal';

/** How a {@link startDelayedRelay | delayed relay} is set up. */
export interface DelayedRelayOptions {
  /** Where connections are led. */
  readonly target: { readonly host: string; readonly port: number };
  /** How long each byte takes in each direction, in milliseconds. @defaultValue 20 */
  readonly delayMs?: number | undefined;
  /**
   * How many bytes of one direction of a connection may be on their way. Past it the relay does not read the sender until
   * the receiver has taken some. @defaultValue 65536
   */
  readonly bufferBytes?: number | undefined;
}

const KEYS = optionKeys<DelayedRelayOptions>({ target: true, delayMs: true, bufferBytes: true });

/** A relay that runs. */
export interface DelayedRelay {
  /** The port that it listens on, at 127.0.0.1. */
  readonly port: number;
  /** Breaks all connections and stops listening. */
  close(): Promise<void>;
}

/** One chunk on its way, or, without `data`, the end of the stream. */
interface Transit {
  readonly data: Buffer | undefined;
  readonly dueAt: number;
}

/**
 * Stands between a client and a port of this machine as a network with latency and a small window does: each byte arrives
 * `delayMs` later, and only `bufferBytes` are on their way in each direction. A receiver that does not read stops its
 * sender. The kernel still holds what it takes for two sockets of this machine (about 4 MB in each direction): Node cannot
 * make those buffers smaller.
 */
export async function startDelayedRelay(options: DelayedRelayOptions): Promise<DelayedRelay> {
  assertKnownOptions('startDelayedRelay', options, KEYS);
  const { target, delayMs = 20, bufferBytes = 64 * 1024 } = options;
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true });
  server.on('connection', near => {
    const far = new Socket({ allowHalfOpen: true });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
    }
    far.setNoDelay(true);
    far.connect(target);
    relay(near, far, delayMs, bufferBytes);
    relay(far, near, delayMs, bufferBytes);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = new Promise<void>(resolve => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Moves the bytes of one direction. */
function relay(from: Socket, to: Socket, delayMs: number, bufferBytes: number): void {
  const transits: Transit[] = [];
  let bytes = 0;
  let timer: NodeJS.Timeout | undefined;

  const deliver = (): void => {
    timer = undefined;
    while (transits.length > 0) {
      const { data, dueAt } = present(transits[0]);
      const waitMs = dueAt - performance.now();
      if (waitMs > 0) {
        timer = setTimeout(deliver, Math.ceil(waitMs));
        return;
      }
      transits.shift();
      if (!data) {
        to.end();
      } else {
        // On its way until the kernel has taken it.
        to.write(data, () => {
          bytes -= data.length;
          if (bytes < bufferBytes && !from.destroyed) from.resume();
        });
      }
    }
  };
  const send = (data: Buffer | undefined): void => {
    transits.push({ data, dueAt: performance.now() + delayMs });
    timer ??= setTimeout(deliver, delayMs);
  };

  from.on('data', chunk => {
    bytes += chunk.length;
    if (bytes >= bufferBytes) from.pause();
    send(chunk);
  });
  from.on('end', () => send(undefined));
  // A connection that breaks takes what is on its way with it, as a reset does.
  from.on('error', () => to.resetAndDestroy());
  to.on('close', () => {
    clearTimeout(timer);
    transits.length = 0;
  });
  from.resume();
}
