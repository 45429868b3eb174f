import { AsyncLocalStorage } from 'node:async_hooks';
import { Inject, Injectable } from '@nestjs/common';
import { GateError } from '@nestgate/protocol';
import { NODE_OPTIONS, type NodeOptions } from '../../node/node-options.js';
import type { TopicContext } from '../topic-context.js';

/**
 * Provides the client whose frame is handled to all code that a handler calls. Tracking every promise has a cost, so that the option
 * `currentClient` can disable it.
 */
@Injectable()
export class CurrentClient {
  private storage: AsyncLocalStorage<TopicContext> | undefined;
  private isStopped = false;

  constructor(@Inject(NODE_OPTIONS) private readonly options: NodeOptions) {}

  /** The frame that is being handled. @throws {GateError} `NO_CURRENT_CLIENT` outside of a handler. */
  get context(): TopicContext {
    const context = this.storage?.getStore();
    if (context) return context;
    throw new GateError(
      'NO_CURRENT_CLIENT',
      this.storage ? undefined : 'There is no current client: the option currentClient is false',
    );
  }

  /** Enables tracking when the option is set; called once, before the first handler runs. */
  prepare(): this | undefined {
    if (this.options.currentClient !== false) this.storage ??= new AsyncLocalStorage();
    this.isStopped = false;
    return this.storage && this;
  }

  /**
   * Makes a frame the current one for the rest of the async scope at hand, which must be that of this frame alone. `run` of the store
   * would restore what was there before, which nobody sees, and costs twice as much from Node 24 on.
   */
  enter(context: TopicContext): void {
    // A late stream of a closed app would have promises followed again.
    if (!this.isStopped) this.storage?.enterWith(context);
  }

  /** Stops following promises. Before Node 24 every promise of the process costs more for each storage that is in use. */
  stop(): void {
    this.isStopped = true;
    this.storage?.disable();
  }
}
