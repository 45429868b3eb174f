import type { ApplicationConfig } from '@nestjs/core';

const THROTTLER = 'ThrottlerGuard';
const METHOD = 'getRequestResponse';

/**
 * Whether a global guard is a `ThrottlerGuard` of `@nestjs/throttler` that takes its request from `switchToHttp()`. That is what the
 * client has sent when a topic is handled: it would choose by its body what it is counted by.
 */
export function hasStockThrottler(config: ApplicationConfig): boolean {
  const scoped = config.getGlobalRequestGuards().map(({ metatype }) => metatype?.prototype as unknown);
  return [...config.getGlobalGuards(), ...scoped].some(guard => {
    for (let each: unknown = guard; typeof each === 'object' && each !== null; each = Object.getPrototypeOf(each)) {
      if (!Object.hasOwn(each, METHOD)) continue;
      return each.constructor.name === THROTTLER;
    }
    return false;
  });
}
