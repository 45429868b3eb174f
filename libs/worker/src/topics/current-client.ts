import { AsyncLocalStorage } from 'node:async_hooks';
import { Inject, Injectable } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { GateError } from '@nestgate/protocol';
import { NODE_OPTIONS, type NodeOptions } from '../node/node-options.js';
import type { TopicContext } from './topic-context.js';

/** Uses of the client at hand, in the source of a class; what follows nothing is the definition of such a method. */
const USE = /[.'"`]\s*(?:sendTo|close|destroy)CurrentClient\b/;

/**
 * Knows, anywhere in the code that a handler calls, whose frame is being handled. Following every promise for that costs, so
 * it is done only where it is needed: when `currentClient` says so or, unless it is `false`, when a controller, provider,
 * guard, pipe, filter or interceptor of the app's modules has a use of it in its source, or in that of a class it extends.
 */
@Injectable()
export class CurrentClient {
  private storage: AsyncLocalStorage<TopicContext> | undefined;

  constructor(
    private readonly modules: ModulesContainer,
    @Inject(NODE_OPTIONS) private readonly options: NodeOptions,
  ) {}

  /** The frame that is being handled. @throws {GateError} `NO_CURRENT_CLIENT` outside of a handler. */
  get context(): TopicContext {
    const context = this.storage?.getStore();
    if (context) return context;
    throw new GateError(
      'NO_CURRENT_CLIENT',
      this.storage ? undefined : 'There is no current client: it is followed only with the option currentClient: true',
    );
  }

  /** Looks whether it is needed; called once, before the first handler runs. */
  prepare(): this | undefined {
    if (this.options.currentClient ?? this.isUsed()) this.storage ??= new AsyncLocalStorage();
    return this.storage && this;
  }

  /** Runs a handler for the frame of this context. */
  run<T>(context: TopicContext, handler: () => T): T {
    return this.storage ? this.storage.run(context, handler) : handler();
  }

  private isUsed(): boolean {
    for (const { controllers, providers, injectables } of this.modules.values()) {
      for (const wrappers of [controllers, providers, injectables]) {
        for (const { metatype, instance } of wrappers.values()) {
          if (hasUse(metatype) || hasUse((instance as object | undefined)?.constructor)) return true;
        }
      }
    }
    return false;
  }
}

/** Whether the source of a class, of one that it extends, or of a factory, has a use of the client at hand. */
function hasUse(source: unknown): boolean {
  for (let each = source; typeof each === 'function'; each = Object.getPrototypeOf(each)) {
    if (USE.test(Function.prototype.toString.call(each))) return true;
  }
  return false;
}
