import type { LinkNode } from '@nestgate/link';
import type { MembershipEvents } from './memberships.js';

/** Joins the channels of the uids, or groups, that have a client on this gate. */
export class ChannelInterest implements MembershipEvents {
  /** Channels whose join is not confirmed yet. */
  private readonly joining = new Map<string, Promise<void>>();

  constructor(
    private readonly node: Pick<LinkNode, 'join' | 'leave'>,
    private readonly channelOf: (name: string) => string,
  ) {}

  /** Settles when pushes to this name reach this gate from everywhere; `undefined` when they do. */
  whenHeard(name: string): Promise<void> | undefined {
    return this.joining.get(name);
  }

  onAppear(name: string): void {
    const joining = this.node.join(this.channelOf(name));
    if (!joining) return;
    const heard = joining.finally(() => {
      if (this.joining.get(name) === heard) this.joining.delete(name);
    });
    // Callers that wait receive the failure; without callers it must not be an unhandled rejection.
    heard.catch(() => undefined);
    this.joining.set(name, heard);
  }

  onVanish(name: string): void {
    this.joining.delete(name);
    this.node.leave(this.channelOf(name));
  }
}
