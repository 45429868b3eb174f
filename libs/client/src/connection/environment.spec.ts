import { describe, expect, it } from '@jest/globals';
import { hostEnvironment, type HostGlobals } from './environment.js';

class Page extends EventTarget {
  readonly document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  readonly navigator = { onLine: true };
  readonly location = { href: 'https://app.test/x' };
  readonly performance = { now: () => 7 };
  readonly setTimeout = (): number => 1;
  readonly clearTimeout = (): void => undefined;
}

const event = (type: string, persisted?: boolean): Event => Object.assign(new Event(type), { persisted });

describe('hostEnvironment', () => {
  it('reports what happens to a page, until that is ended', () => {
    const page = new Page();
    const environment = hostEnvironment(page as unknown as HostGlobals);
    const seen: string[] = [];
    const end = environment.watch(what => seen.push(what));
    const all = (): void => {
      for (const type of ['online', 'offline']) page.dispatchEvent(event(type));
      page.dispatchEvent(event('pagehide', true));
      page.dispatchEvent(event('pageshow', true));
      page.dispatchEvent(event('pagehide', false));
      page.dispatchEvent(event('pageshow', false));
      for (const state of ['hidden', 'visible']) {
        page.document.visibilityState = state;
        page.document.dispatchEvent(event('visibilitychange'));
      }
      for (const type of ['freeze', 'resume']) page.document.dispatchEvent(event(type));
    };
    all();
    expect(seen).toEqual(['online', 'offline', 'suspend', 'resume', 'unload', 'hide', 'show', 'freeze', 'resume']);
    end();
    all();
    expect(seen).toHaveLength(9);
  });

  it('knows the network, the page and its address', () => {
    const page = new Page();
    const environment = hostEnvironment(page as unknown as HostGlobals);
    expect([environment.isOnline(), environment.isHidden(), environment.baseUrl]).toEqual([
      true,
      false,
      'https://app.test/x',
    ]);
    page.navigator.onLine = false;
    page.document.visibilityState = 'hidden';
    expect([environment.isOnline(), environment.isHidden()]).toEqual([false, true]);
  });

  it('works in Node, which has no page: there is a network, and nothing is hidden', () => {
    const environment = hostEnvironment();
    expect([environment.isOnline(), environment.isHidden(), environment.baseUrl]).toEqual([true, false, undefined]);
    expect(() => environment.watch(() => undefined)()).not.toThrow();
    expect(environment.random()).toBeLessThan(1);
  });
});
