import { describe, expect, it } from '@jest/globals';
import { hostTabs } from './tabs-host.js';

class Channel {
  constructor(readonly name: string) {}
}
const requests: unknown[] = [];
const browser = {
  BroadcastChannel: Channel,
  AbortController,
  crypto: { randomUUID: () => 'uuid' },
  navigator: { locks: { request: async (...args: unknown[]) => requests.push(args) } },
};

describe('the tabs of a browser', () => {
  it('are reached by its channels and locks', async () => {
    const tabs = hostTabs(browser);
    if (!tabs) throw new Error('There are none');
    expect(tabs.channel('a')).toEqual({ name: 'a' });
    expect(tabs.id()).toBe('uuid');
    const { signal } = tabs.abortController();
    const held = async (): Promise<void> => undefined;
    await tabs.lock('a', signal, held);
    expect(requests).toEqual([['a', { signal }, held]]);
  });

  it.each(['BroadcastChannel', 'crypto', 'navigator'])('are not there without %s', missing => {
    expect(hostTabs({ ...browser, [missing]: undefined })).toBe(false);
  });

  it('are not there on a page without https, which has no locks', () => {
    expect(hostTabs({ ...browser, navigator: {} })).toBe(false);
  });
});
