import type { AbortControllerLike, TabChannel, TabsHost } from '../share/tabs-host.js';

interface Lock {
  readonly owner: FakeTab;
  readonly run: () => Promise<void>;
  isHeld: boolean;
  release(): void;
}

/** Channels and locks of a browser with several tabs, without a browser. */
export class FakeTabs {
  readonly channels = new Map<string, Set<FakeChannel>>();
  private readonly locks = new Map<string, Lock[]>();
  private count = 0;

  /** Another tab. */
  open(): FakeTab {
    return new FakeTab(this, ++this.count);
  }

  /** Channels that are open, and locks that are held or waited for. */
  get left(): number {
    return [...this.channels.values(), ...this.locks.values()].reduce(
      (sum, each) => sum + (each instanceof Set ? each.size : each.length),
      0,
    );
  }

  request(
    name: string,
    owner: FakeTab,
    signal: AbortControllerLike['signal'],
    held: () => Promise<void>,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const queue = this.locks.get(name) ?? [];
      this.locks.set(name, queue);
      const lock: Lock = {
        owner,
        isHeld: false,
        run: async () => resolve(await held()),
        release: () => {
          const at = queue.indexOf(lock);
          if (at >= 0) queue.splice(at, 1);
          this.grant(queue);
        },
      };
      queue.push(lock);
      signal.addEventListener('abort', () => {
        if (lock.isHeld) return;
        lock.release();
        reject(new Error('aborted'));
      });
      this.grant(queue);
    });
  }

  /** The tab is killed: what it held is free, and nothing of it is said any more. */
  kill(owner: FakeTab): void {
    for (const channels of this.channels.values()) {
      for (const channel of channels) if (channel.owner === owner) channels.delete(channel);
    }
    for (const queue of this.locks.values()) {
      for (const lock of queue.filter(each => each.owner === owner)) lock.release();
    }
  }

  private grant(queue: readonly Lock[]): void {
    void Promise.resolve().then(() => {
      const [first] = queue;
      if (!first || first.isHeld) return;
      first.isHeld = true;
      void first.run().finally(() => first.release());
    });
  }
}

class FakeChannel implements TabChannel {
  onmessage: TabChannel['onmessage'] = null;
  /** Messages that a frozen tab does not see yet. */
  private held: unknown[] = [];

  constructor(
    readonly owner: FakeTab,
    private readonly all: Set<FakeChannel>,
  ) {
    all.add(this);
  }

  postMessage(message: unknown): void {
    if (!this.all.has(this)) return;
    const data: unknown = structuredClone(message);
    for (const channel of this.all) {
      if (channel !== this) void Promise.resolve().then(() => channel.take(data));
    }
  }

  /** Gives the tab what has come while it was frozen. */
  thaw(): void {
    for (const data of this.held.splice(0)) this.take(data);
  }

  private take(data: unknown): void {
    if (this.owner.isFrozen) this.held.push(data);
    else if (this.all.has(this)) this.onmessage?.({ data });
  }

  close(): void {
    this.all.delete(this);
  }
}

/** What one of the tabs sees. */
export class FakeTab implements TabsHost {
  /** Nothing of it runs. */
  isFrozen = false;

  constructor(
    private readonly tabs: FakeTabs,
    private readonly number: number,
  ) {}

  channel(name: string): TabChannel {
    const all = this.tabs.channels.get(name) ?? new Set();
    this.tabs.channels.set(name, all);
    return new FakeChannel(this, all);
  }

  lock(name: string, signal: AbortControllerLike['signal'], held: () => Promise<void>): Promise<unknown> {
    return this.tabs.request(name, this, signal, held);
  }

  abortController(): AbortControllerLike {
    return new AbortController();
  }

  id(): string {
    return `tab-${this.number}`;
  }

  kill(): void {
    this.isFrozen = true;
    this.tabs.kill(this);
  }

  thaw(): void {
    this.isFrozen = false;
    for (const channels of this.tabs.channels.values()) {
      for (const channel of channels) if (channel.owner === this) channel.thaw();
    }
  }
}
