import type { Settings } from '@nestgate/link';
import type { ClientAgent } from '../client/client-agent.js';

/**
 * Keys of sessions' settings that come from the storage of the user. They must not follow the connection to another user, and must
 * not overwrite, at the next bind, what another gate has stored since.
 */
export class BorrowedKeys {
  private readonly keys = new Map<ClientAgent, ReadonlySet<string>>();

  of(agent: ClientAgent): readonly string[] {
    return [...(this.keys.get(agent) ?? [])];
  }

  /** Replaces the keys of a client. */
  set(agent: ClientAgent, keys: readonly string[]): void {
    if (keys.length > 0) this.keys.set(agent, new Set(keys));
    else this.keys.delete(agent);
  }

  /** The connection has decided on these keys itself. */
  own(agent: ClientAgent, keys: readonly string[]): void {
    const borrowed = this.keys.get(agent);
    if (!borrowed) return;
    const own = new Set(keys);
    this.set(
      agent,
      [...borrowed].filter(key => !own.has(key)),
    );
  }

  /** The settings that are the connection's own. */
  without(agent: ClientAgent, settings: Settings): Settings {
    const borrowed = this.keys.get(agent);
    if (!borrowed) return settings;
    return Object.fromEntries(Object.entries(settings).filter(([key]) => !borrowed.has(key)));
  }

  forget(agent: ClientAgent): void {
    this.keys.delete(agent);
  }
}
