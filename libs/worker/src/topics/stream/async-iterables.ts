/** Whether a value is an AsyncIterable, as generators and the readable streams of Node are. */
export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/** Ends an iteration. A stream of Node that waits for data hears of nothing but this. Rejections are ignored. */
export function endIteration(iterable: AsyncIterable<unknown>, iterator?: AsyncIterator<unknown>): void {
  const { destroy } = iterable as { destroy?: unknown };
  try {
    if (typeof destroy === 'function') destroy.call(iterable);
    const ended: unknown = iterator?.return?.();
    if (ended instanceof Promise) ended.catch(() => undefined);
  } catch {
    // Nobody waits for it any more.
  }
}
