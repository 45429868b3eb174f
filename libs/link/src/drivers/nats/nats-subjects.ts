import { createHash } from 'node:crypto';
import { ALL_GATES, type NodeId, type NodeInfo, type NodeRole } from '../../link.js';

/** All roles that a node can have. */
export const NODE_ROLES: readonly NodeRole[] = ['gate', 'worker', 'api'];

const TOKEN = /^[A-Za-z0-9_-]{1,64}$/;

/** Whether a text can be one token of a subject as it is. */
export function isSubjectToken(text: string): boolean {
  return TOKEN.test(text);
}

/** Where casts to a channel go. Channel names are free text, and subjects are not: `*`, `>` and spaces mean something there. */
export function channelSubject(namespace: string, name: string): string {
  const token = name === ALL_GATES ? 'all' : createHash('sha1').update(name).digest('hex');
  return `${namespace}.channel.${token}`;
}

/**
 * The subjects of one node. Roles stand in them so that the server's permissions can tell roles apart: nobody but a gate
 * hears channels, and what is published as a role can only come from it.
 *
 *     ns.<role>.<id>.<epoch>.from.<role>        frames to a node, from nodes of a role
 *     ns.<role>.<id>.<epoch>.lost.<id>.<epoch>  the server says to a node that another one is gone
 *     ns.<role>.<id>.<epoch>.taken              answers about an id that this node requests
 *     ns.info.<role>, ns.bye.<role>             what nodes of a role say of themselves: each second, and at their end
 *     ns.id.<id>                                the question whether an id is taken
 *     ns.channel.<hash>, ns.channel.all         casts
 */
export class NatsSubjects {
  private readonly own: string;

  constructor(
    private readonly namespace: string,
    private readonly self: NodeInfo,
  ) {
    this.own = this.nodeOf(self);
  }

  /** The roles that this node has to do with: workers and services with gates only, gates with everybody. */
  get heardRoles(): readonly NodeRole[] {
    return this.self.role === 'gate' ? NODE_ROLES : ['gate'];
  }

  /** Where this node gets frames from nodes of a role. */
  inbox(from: NodeRole): string {
    return `${this.own}.from.${from}`;
  }

  /** Where this node sends frames to another. */
  to(node: NodeInfo): string {
    return `${this.nodeOf(node)}.from.${this.self.role}`;
  }

  /** Where the server says that a node does not listen any more. */
  lost({ id, epoch }: Pick<NodeInfo, 'id' | 'epoch'>): string {
    return `${this.own}.lost.${id}.${epoch}`;
  }

  get anyLost(): string {
    return `${this.own}.lost.*.*`;
  }

  /** Which node a subject of {@link anyLost} is about. */
  lostNode(subject: string): Pick<NodeInfo, 'id' | 'epoch'> {
    const [id = '', epoch = ''] = subject.split('.').slice(-2);
    return { id, epoch };
  }

  get taken(): string {
    return `${this.own}.taken`;
  }

  info(role: NodeRole): string {
    return `${this.namespace}.info.${role}`;
  }

  bye(role: NodeRole): string {
    return `${this.namespace}.bye.${role}`;
  }

  /** What a node names as the reply subject when it wants all to say who they are. Nothing is sent there. */
  get asks(): string {
    return `${this.namespace}.ask`;
  }

  id(id: NodeId): string {
    return `${this.namespace}.id.${id}`;
  }

  private nodeOf({ role, id, epoch }: NodeInfo): string {
    return `${this.namespace}.${role}.${id}.${epoch}`;
  }
}
