import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { type SettingsChange, StorageHandler } from '@nestgate/gate';
import type { SessionSnapshot, Settings } from '@nestgate/link';
import { starvedMs } from '@nestgate/testing';
import { ClientSession, OnTopic, Session } from '@nestgate/worker';

export { sessionOf } from '@nestgate/testing';

export function changeOf(set: Settings, deleted: SettingsChange['deleted'] = []): SettingsChange {
  return { set, deleted };
}

/** The changes to a session that the example topics have none for. */
@Controller()
export class ChangingTopics {
  @OnTopic('changing/push')
  async push(@Payload() { settings }: { settings: Settings }, @ClientSession() session: Session): Promise<void> {
    await session.toSetBatch(settings);
  }

  @OnTopic('changing/del')
  async del(@Payload() { key }: { key: string }, @ClientSession() session: Session): Promise<void> {
    await session.toDel(key);
  }

  @OnTopic('changing/unbind')
  async unbind(@ClientSession() session: Session): Promise<void> {
    await session.toUnbind();
  }
}

/** One call of a {@link ScriptedStorage}. */
export interface StorageCall {
  readonly name: 'query' | 'storage' | 'delete' | 'heartbeat';
  readonly userId: string;
  readonly settings?: Settings;
  readonly change?: SettingsChange;
}

/** A storage that notes its calls, keeps users as a real one does, and does first what a test wants it to. */
export class ScriptedStorage extends StorageHandler {
  readonly calls: StorageCall[] = [];
  readonly users = new Map<string, Map<string, unknown>>();
  /** What happens before a call; what it rejects with, the call rejects with. */
  before: (call: StorageCall) => unknown = () => undefined;
  /** What a query answers in place of what is kept. */
  answer: ((userId: string) => unknown) | undefined;

  keep(userId: string, settings: Settings): void {
    this.users.set(userId, new Map(Object.entries(settings)));
  }

  kept(userId: string): Record<string, unknown> | undefined {
    const settings = this.users.get(userId);
    return settings && Object.fromEntries(settings);
  }

  /** The calls for a user, as `query`, `storage {"set":{…},"deleted":[…]}` and so on. */
  log(userId: string): string[] {
    return this.calls
      .filter(call => call.userId === userId)
      .map(({ name, change }) => (change ? `${name} ${JSON.stringify(change)}` : name));
  }

  override async query(userId: string): Promise<Settings | undefined> {
    await this.note({ name: 'query', userId });
    return (this.answer ? this.answer(userId) : this.kept(userId)) as Settings | undefined;
  }

  override async storage({ userId, settings }: SessionSnapshot, change: SettingsChange): Promise<void> {
    await this.note({ name: 'storage', userId, settings, change });
    const kept = change.deleted === 'all' ? new Map<string, unknown>() : (this.users.get(userId) ?? new Map());
    if (change.deleted !== 'all') for (const key of change.deleted) kept.delete(key);
    for (const [key, value] of Object.entries(change.set)) kept.set(key, value);
    this.users.set(userId, kept);
  }

  override async delete(userId: string): Promise<void> {
    await this.note({ name: 'delete', userId });
    this.users.delete(userId);
  }

  override async heartbeat(sessions: readonly SessionSnapshot[]): Promise<void> {
    for (const { userId } of sessions) await this.note({ name: 'heartbeat', userId });
  }

  private async note(call: StorageCall): Promise<void> {
    this.calls.push(call);
    await this.before(call);
  }
}

/** A promise that never settles. */
export function forever(): Promise<never> {
  return new Promise(() => undefined);
}

/** Runs a task, and tells how long it took in milliseconds, less what this process waited for a core, and its error when it failed. */
export async function timed(task: () => Promise<unknown>): Promise<{ ms: number; passedMs: number; error?: unknown }> {
  const begunAt = performance.now();
  const starvedBefore = starvedMs();
  const times = () => {
    const passedMs = performance.now() - begunAt;
    return { ms: passedMs - (starvedMs() - starvedBefore), passedMs };
  };
  try {
    await task();
    return times();
  } catch (error) {
    return { ...times(), error };
  }
}
