import { DeadlineCall, type DeadlineWheel } from '@nestgate/link/internal';
import type { BoundedLog } from '../../log/bounded-log.js';
import type { PulledItems } from './producers.js';

/** How long a producer may take to end when nobody wants its items any more, in milliseconds. */
const END_MS = 5_000;

/** Counts and reports producers that go on although they were told to end: nothing can end them. */
export class LateProducers {
  /** How many there were. */
  count = 0;

  constructor(
    private readonly wheel: DeadlineWheel,
    private readonly logger: BoundedLog,
  ) {}

  /** Watches a producer that was told to end just now. */
  watch(topic: string, producer: PulledItems): void {
    const late = new DeadlineCall(() => {
      this.count++;
      this.logger.warn(`The stream of ${topic} goes on although nobody wants it: use @AbortSignal()`);
    });
    this.wheel.add(late, performance.now() + END_MS);
    const end = (): void => this.wheel.remove(late);
    producer.ended.then(end, end);
  }
}
