import { describe, expect, it } from '@jest/globals';
import { assertWsVersion } from './ws-version.js';

describe('assertWsVersion', () => {
  it('accepts the version that is installed', () => {
    expect(() => assertWsVersion()).not.toThrow();
  });

  it.each(['8.23.0', '8.23.4', '8.30.1', '9.0.0'])('accepts %s', version => {
    expect(() => assertWsVersion(version)).not.toThrow();
  });

  it.each(['8.22.0', '8.4.9', '7.99.0', 'unreadable'])('refuses %s, naming it and what is wanted', version => {
    expect(() => assertWsVersion(version)).toThrow(`ws >= 8.23.0, and found ${version}`);
  });
});
