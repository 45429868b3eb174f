import type { ClientId } from '@nestgate/link';
import { addHandler, type TopicMetadata } from '../topics/on-topic.decorator.js';

/** Kinds of presence events, of a uid or of a client in a group. */
export type PresenceType = 'online' | 'offline' | 'join' | 'leave';

/** The payload of {@link OnPresence}: a type, to be imported with `import type`. */
export type PresenceEvent = UidPresence | GroupPresence;

/** A uid has got its first client in the cluster, or lost its last one. */
export interface UidPresence {
  readonly type: 'online' | 'offline';
  readonly userId: string;
  /** True for the state at the time of the subscription. */
  readonly isInitial: boolean;
}

/** A client has joined a group, or left it. */
export interface GroupPresence {
  readonly type: 'join' | 'leave';
  readonly group: string;
  readonly clientId: ClientId;
  /** The uid it was bound to when it joined; `''` for a guest. */
  readonly userId: string;
  /** True for the state at the time of the subscription. */
  readonly isInitial: boolean;
}

/** The topic of the events of a type. */
export function presenceTopic(type: PresenceType): string {
  return `$presence/${type}`;
}

const ALL: readonly PresenceType[] = ['online', 'offline', 'join', 'leave'];

/**
 * Subscribes to the presence of the whole cluster: the method receives a {@link PresenceEvent}. Every subscribed worker receives
 * every event; events of one uid, or of one group, arrive in order and one at a time. The state at the start of a worker is
 * delivered first, as initial events. Clients of a killed gate are reported as gone a few seconds later.
 *
 * A subscribed worker keeps in memory which uids are online and which clients are in which group.
 */
export function OnPresence(...types: PresenceType[]): MethodDecorator {
  const topics = (types.length > 0 ? types : ALL).map(presenceTopic);
  return (target, key, descriptor) => {
    const metadata: TopicMetadata = Object.freeze({ topic: topics.join(', '), payload: 'json', isEvent: true });
    addHandler(target, key, descriptor, topics, metadata);
  };
}
