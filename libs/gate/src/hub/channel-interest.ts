import type { LinkNode } from '@nestgate/link';
import type { MembershipEvents } from './memberships.js';

/** Has this gate hear the channels of those uids, or groups, that have a client here. */
export class ChannelInterest implements MembershipEvents {
  /** Channels whose casts do not reach this gate yet. */
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
    // Whoever waits for it is told of a failure; nobody has to.
    heard.catch(() => undefined);
    this.joining.set(name, heard);
  }

  onVanish(name: string): void {
    this.joining.delete(name);
    this.node.leave(this.channelOf(name));
  }
}
