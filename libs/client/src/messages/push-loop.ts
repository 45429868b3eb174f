import type { MessagesOptions } from '../options.js';
import type { Listeners } from './listeners.js';
import { createValueQueue } from './value-queue.js';

/**
 * A `for await` loop over the pushes of a topic. It ends with its signal, and with the client: `isOver` is asked at each change of
 * the client's state.
 */
export function openPushLoop(
  listeners: Listeners,
  name: string,
  { signal, limit }: MessagesOptions,
  isOver: () => boolean,
): AsyncIterableIterator<unknown, undefined> {
  const queue = createValueQueue<unknown>(limit, () => {
    off();
    offState();
    signal?.removeEventListener('abort', check);
  });
  const check = (): void => {
    if (signal?.aborted || isOver()) queue.end();
  };
  const off = listeners.add(name, queue.push);
  const offState = listeners.add('state', check);
  signal?.addEventListener('abort', check);
  check();
  return queue.values;
}
