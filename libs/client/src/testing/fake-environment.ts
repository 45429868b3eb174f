import type { Environment, PageEvent } from '../connection/environment.js';

/** How many promises may follow each other before the next timer runs. */
const TURNS = 50;

/**
 * An environment for tests: its clock stands still until `advance` moves it, and runs the timers that are due. No timer of the host is
 * used.
 */
export class FakeEnvironment implements Environment {
  /** The value that `random` returns. */
  chance = 0.5;
  /** The state of the network and of the page. */
  hasNetwork = true;
  isPageHidden = false;
  baseUrl: string | undefined;
  private nowMs = 1_000;
  private wallMs = 1_700_000_000_000;
  private lastTimer = 0;
  private readonly timers = new Map<number, { at: number; callback: () => void }>();
  private readonly watchers = new Set<(event: PageEvent) => void>();

  now(): number {
    return this.nowMs;
  }

  wallNow(): number {
    return this.wallMs;
  }

  random(): number {
    return this.chance;
  }

  isOnline(): boolean {
    return this.hasNetwork;
  }

  isHidden(): boolean {
    return this.isPageHidden;
  }

  setTimeout(callback: () => void, ms: number): number {
    this.timers.set(++this.lastTimer, { at: this.nowMs + Math.max(ms, 0), callback });
    return this.lastTimer;
  }

  clearTimeout(timer: unknown): void {
    this.timers.delete(timer as number);
  }

  watch(listener: (event: PageEvent) => void): () => void {
    this.watchers.add(listener);
    return () => this.watchers.delete(listener);
  }

  /** Timers that are set, and listeners of page events: both are 0 when a client is closed. */
  get open(): { readonly timers: number; readonly watchers: number } {
    return { timers: this.timers.size, watchers: this.watchers.size };
  }

  /** The delay of the earliest timer, in milliseconds; `undefined` without one. */
  get nextTimerMs(): number | undefined {
    const times = [...this.timers.values()].map(({ at }) => at - this.nowMs);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Moves both clocks, and runs each timer that becomes due, at its time. Promises settle in between. */
  async advance(ms: number): Promise<void> {
    const end = this.nowMs + ms;
    await settle();
    for (let due = this.next(end); due; due = this.next(end)) {
      this.pass(due.at - this.nowMs);
      due.callback();
      await settle();
    }
    this.pass(end - this.nowMs);
  }

  /** The machine sleeps: the wall clock goes on, timers and the other clock stand still. */
  sleep(ms: number): void {
    this.wallMs += ms;
  }

  /** The page is hidden or shown. */
  hide(isHidden = true): void {
    this.isPageHidden = isHidden;
    this.send(isHidden ? 'hide' : 'show');
  }

  /** The network is lost, or returns. */
  setNetwork(isThere: boolean): void {
    this.hasNetwork = isThere;
    this.send(isThere ? 'online' : 'offline');
  }

  /** Reports a page event. */
  send(event: PageEvent): void {
    for (const watcher of this.watchers) watcher(event);
  }

  private pass(ms: number): void {
    this.nowMs += ms;
    this.wallMs += ms;
  }

  private next(end: number): { at: number; callback: () => void } | undefined {
    let earliest: [number, { at: number; callback: () => void }] | undefined;
    for (const entry of this.timers) if (!earliest || entry[1].at < earliest[1].at) earliest = entry;
    if (!earliest || earliest[1].at > end) return undefined;
    this.timers.delete(earliest[0]);
    return { at: Math.max(earliest[1].at, this.nowMs), callback: earliest[1].callback };
  }
}

/** Waits until the callbacks of settled promises have run. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await Promise.resolve();
}
