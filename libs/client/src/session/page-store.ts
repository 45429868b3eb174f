import type { SessionStore } from '../options.js';
import { isCount, type SavedSession } from './session.js';

/** The part of `sessionStorage` that is used. */
export interface StorageLike {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/**
 * Keeps the session across a reload of the page, in `sessionStorage`: `connect(url, { persist: pageStore() })`. It is written when the page
 * is left, and removed when it is read, so that a duplicated tab gets its own session.
 */
export function pageStore(key = 'nestgate', storage?: StorageLike): SessionStore {
  // Read when needed: where storage is forbidden, reading the property throws.
  const used = (): StorageLike => storage ?? (globalThis as unknown as { sessionStorage: StorageLike }).sessionStorage;
  return {
    load() {
      try {
        const text = used().getItem(key);
        if (text === null) return undefined;
        used().removeItem(key);
        const saved = JSON.parse(text) as SavedSession & { until: number };
        const { session, ticket, seen, sent, lastId, until } = saved;
        const isUsable =
          [session, ticket].every(value => typeof value === 'string') && [seen, sent, lastId].every(isCount);
        return isUsable && until > Date.now() ? saved : undefined;
      } catch {
        return undefined;
      }
    },
    save(session) {
      try {
        used().setItem(key, JSON.stringify({ ...session, until: Date.now() + session.keepMs }));
      } catch {
        // Storage is full or forbidden: the next page starts a new session.
      }
    },
  };
}
