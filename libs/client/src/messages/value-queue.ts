import { GateError } from '../errors.js';

/** A bounded queue of values for a `for await` loop. */
export interface ValueQueue<T> {
  /** When the queue is full, the loop ends with `SLOW_CONSUMER` after the queued values. */
  readonly push: (value: T) => void;
  /** Ends the loop after the queued values, with the error if there is one. */
  end(error?: GateError): void;
  readonly values: AsyncIterableIterator<T, undefined>;
}

/** `onEnd` is called once: when the loop is left, or when no more values follow. */
export function createValueQueue<T>(limit = 1_000, onEnd: () => void): ValueQueue<T> {
  const unread: T[] = [];
  const readers: { resolve(result: IteratorResult<T, undefined>): void; reject(error: unknown): void }[] = [];
  let isOver = false;
  let failure: GateError | undefined;

  const serve = (): void => {
    for (const reader of readers.splice(0, isOver ? Infinity : unread.length)) {
      if (unread.length > 0) reader.resolve({ done: false, value: unread.shift() as T });
      else if (failure) {
        reader.reject(failure);
        failure = undefined;
      } else reader.resolve({ done: true, value: undefined });
    }
  };
  const end = (error?: GateError): void => {
    if (isOver) return;
    isOver = true;
    failure = error;
    serve();
    onEnd();
  };
  return {
    end,
    push(value) {
      if (isOver) return;
      if (unread.length < limit) unread.push(value);
      else end(new GateError('SLOW_CONSUMER', `More than ${limit} values were not read`));
      serve();
    },
    values: {
      next: () =>
        new Promise((resolve, reject) => {
          readers.push({ resolve, reject });
          serve();
        }),
      return() {
        unread.length = 0;
        end();
        failure = undefined;
        return Promise.resolve({ done: true, value: undefined });
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    },
  };
}
