import type { Socket } from 'node:net';
import { Readable } from 'node:stream';

type Push = (this: Socket, chunk: Buffer | null, encoding?: BufferEncoding) => boolean;

const push = Reflect.get(Readable.prototype, 'push') as Push;

/**
 * Has a socket hand what it reads to its `data` listeners at once. A stream asks itself after each chunk, on the next tick,
 * whether it should read more; a socket reads by itself, and where a chunk has one message that is up to a tenth of all it costs.
 * While it is paused, or has something buffered, chunks go the way they always go, and so does its end.
 */
export function readDirectly(socket: Socket): void {
  socket.push = pushDirectly;
}

// One function for all sockets.
const pushDirectly: Push = function (this: Socket, chunk, encoding) {
  const isPlain = this.readableFlowing === true && this.readableLength === 0 && this.readableEncoding === null;
  if (chunk === null || !isPlain) return push.call(this, chunk, encoding);
  this.emit('data', chunk);
  return true;
};
