import type { Socket } from 'node:net';

/** What is needed of the handle of a socket, which has no types of its own. */
interface Handle {
  readonly bytesWritten?: unknown;
  readonly writeQueueSize?: unknown;
}

/**
 * How many bytes the operating system has taken of what was written to a socket. The streams of Node say of a large write
 * only when all of it has been taken, which a slow line may need many seconds for; the handle below knows of each part. With
 * a Node that has no such handle, whole writes are what counts. Over TLS it may fall a little when something is written.
 */
export function takenBytes(socket: Socket): number {
  const handle = (socket as unknown as { _handle?: Handle | null })._handle;
  const written = handle?.bytesWritten;
  const queued = handle?.writeQueueSize;
  if (typeof written === 'number' && typeof queued === 'number') return written - queued;
  return socket.bytesWritten - socket.writableLength;
}
