import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { noteCopy } from './one-copy.js';
import '../gateway/gateway-api.js';

describe('copies of the package', () => {
  afterEach(() => void jest.restoreAllMocks());

  it('are named, each once, when there are two', () => {
    const log = jest.spyOn(Logger.prototype, 'error').mockReturnValue();
    const here = `${pathToFileURL(import.meta.filename).href}/../../gateway/gateway-api.ts`;
    // What the test has loaded is the first copy. A development server loads it again with a question mark.
    noteCopy(`${new URL(here).href}?t=1`);
    expect(log).not.toHaveBeenCalled();
    for (let i = 0; i < 2; i++) noteCopy('file:///app/node_modules/other/node_modules/@nestgate/worker/dist/a.js');
    expect(log).toHaveBeenCalledTimes(1);
    const [[line]] = log.mock.calls as [[string]];
    expect(line).toContain('2 copies of @nestgate/worker');
    expect(line).toContain('/app/node_modules/other/node_modules/@nestgate/worker/dist/a.js');
  });
});
