import type { ApplicationConfig } from '@nestjs/core';
import { GUARDS_METADATA, metadataOf } from '../../internals/nest.js';
import type { ExploredTopic } from './topic-explorer.js';

const THROTTLER = 'ThrottlerGuard';
const METHOD = 'getRequestResponse';

/**
 * Where a `ThrottlerGuard` of `@nestjs/throttler` stands before topics that takes its request from `switchToHttp()`. That is what the
 * client has sent when a topic is handled: it would choose by its body what it is counted by.
 * @returns `global`, or the name of a class or method; `undefined` when there is none.
 */
export function stockThrottler(config: ApplicationConfig, topics: readonly ExploredTopic[]): string | undefined {
  const scoped = config.getGlobalRequestGuards().map(({ metatype }) => metatype?.prototype as unknown);
  if ([...config.getGlobalGuards(), ...scoped].some(isStock)) return 'global';
  for (const { controller, method, name } of topics) {
    if (hasStock(controller)) return controller.name;
    if (hasStock(method)) return name;
  }
  return undefined;
}

function hasStock(target: Function): boolean {
  const guards = metadataOf<readonly unknown[]>(GUARDS_METADATA, target) ?? [];
  return guards.some(guard => isStock(typeof guard === 'function' ? guard.prototype : guard));
}

function isStock(guard: unknown): boolean {
  for (let each: unknown = guard; typeof each === 'object' && each !== null; each = Object.getPrototypeOf(each)) {
    if (Object.hasOwn(each, METHOD)) return each.constructor.name === THROTTLER;
  }
  return false;
}
