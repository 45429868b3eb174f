/** Something to listen to. A listener that throws keeps the others from nothing. */
export class Signal<T> {
  private readonly listeners = new Set<(value: T) => void>();

  /** `onDefect` is told what listeners throw. */
  constructor(private readonly onDefect: (error: unknown) => void) {}

  /** Adds a listener; returns how to stop. */
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
