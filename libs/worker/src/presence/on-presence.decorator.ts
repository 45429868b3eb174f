import type { ClientId } from '@nestgate/link';
import { addHandler, type TopicMetadata } from '../topics/on-topic.decorator.js';

/** What can happen to a uid, or to a client in a group. */
export type PresenceType = 'online' | 'offline' | 'join' | 'leave';

/** The payload of {@link OnPresence}: a type, to be imported with `import type`. */
export type PresenceEvent = UidPresence | GroupPresence;

/** A uid has got its first client in the cluster, or lost its last one. */
export interface UidPresence {
  readonly type: 'online' | 'offline';
  readonly userId: string;
  /** True for what was so when this worker began to watch. */
  readonly isInitial: boolean;
}

/** A client has joined a group, or left it. */
export interface GroupPresence {
  readonly type: 'join' | 'leave';
  readonly group: string;
  readonly clientId: ClientId;
  /** The uid it was bound to when it joined; `''` for a guest. */
  readonly userId: string;
  /** True for what was so when this worker began to watch. */
  readonly isInitial: boolean;
}

/** The topic of the events of a type. */
export function presenceTopic(type: PresenceType): string {
  return `$presence/${type}`;
}

const ALL: readonly PresenceType[] = ['online', 'offline', 'join', 'leave'];

/**
 * Watches who is there, in the whole cluster: the method gets a {@link PresenceEvent}. Every worker that watches gets every
 * event; those of one uid, or of one group, come in order and one after another. What is there when a worker starts comes
 * first, as initial events. Clients of a gate that was killed are told of as gone a few seconds later.
 *
 * A worker that watches keeps in memory which uids are online and who is in which group.
 */
export function OnPresence(...types: PresenceType[]): MethodDecorator {
  const topics = (types.length > 0 ? types : ALL).map(presenceTopic);
  return (target, key, descriptor) => {
    const metadata: TopicMetadata = Object.freeze({ topic: topics.join(', '), payload: 'json', isEvent: true });
    addHandler(target, key, descriptor, topics, metadata);
  };
}
