/** A list of listeners. An exception of one listener does not affect the others. */
export class Signal<T> {
  private readonly listeners = new Set<(value: T) => void>();

  /** `onDefect` receives exceptions of listeners. */
  constructor(private readonly onDefect: (error: unknown) => void) {}

  /** Adds a listener. Returns a function that removes it. */
  on(listener: (value: T) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  emit(value: T): void {
    for (const listener of this.listeners) {
      try {
        listener(value);
      } catch (error) {
        this.onDefect(error);
      }
    }
  }
}
