import type { SessionSnapshot } from '@nestgate/link';
import type { BoundedStorage } from './bounded-storage.js';

/** Sessions named in one call. */
const BATCH = 1_000;

/** Where the sessions are. */
interface Clients {
  all(): Iterable<{ readonly sessionState: { readonly userId: string; snapshot(): SessionSnapshot } }>;
}

/** Tells the storage, time and again, which bound sessions are online. */
export class StorageHeartbeat {
  private timer: NodeJS.Timeout | undefined;
  private running = false;

  constructor(
    private readonly storage: Pick<BoundedStorage, 'heartbeat' | 'newDeadline'>,
    private readonly clients: Clients,
    /** Called by a timer, so that it must log failures itself. */
    private readonly onDefect: (error: unknown) => void,
  ) {}

  start(intervalMs: number): void {
    this.timer ??= setInterval(() => void this.beat(), intervalMs).unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private async beat(): Promise<void> {
    // A slow storage gets the next heartbeat after this one, not beside it.
    if (this.running) return;
    this.running = true;
    try {
      let batch: SessionSnapshot[] = [];
      for (const { sessionState: session } of this.clients.all()) {
        if (session.userId !== '') batch.push(session.snapshot());
        if (batch.length < BATCH) continue;
        await this.tell(batch);
        batch = [];
      }
      await this.tell(batch);
    } catch (error) {
      this.onDefect(error);
    } finally {
      this.running = false;
    }
  }

  private async tell(batch: readonly SessionSnapshot[]): Promise<void> {
    if (batch.length === 0) return;
    // One batch that fails, which has been logged, keeps the others from nothing.
    await this.storage.heartbeat(batch, this.storage.newDeadline()).catch(() => undefined);
  }
}
