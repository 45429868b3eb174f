/**
 * Settles as `running` does. When that takes longer than `ms` milliseconds, it resolves with what `onLate` returns, or rejects with what
 * that throws. One promise and one timer: `Promise.race` makes several promises, and leaves the timer to its caller.
 */
export function within<T>(running: PromiseLike<T>, ms: number, onLate: () => T): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => {
      try {
        resolve(onLate());
      } catch (error) {
        reject(error);
      }
    }, ms);
    running.then(
      value => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}
