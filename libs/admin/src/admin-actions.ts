import { GateError } from '@nestgate/protocol';
import type { ClusterApi, GatewayApi } from '@nestgate/worker';

type Input = Readonly<Record<string, unknown>>;
type Action = (gateway: GatewayApi, cluster: ClusterApi, input: Input) => Promise<unknown>;

/** What the page may do with the option `actions`. */
export const ADMIN_ACTIONS = {
  send: (gateway, _cluster, input) => {
    const [topic, { body }] = [text(input, 'topic'), input];
    const options = { confirm: true, partial: 'allow' } as const;
    if (input['clientId'] !== undefined) return gateway.sendToClient([text(input, 'clientId')], topic, body, options);
    if (input['uid'] !== undefined) return gateway.sendToUid(text(input, 'uid'), topic, body, options);
    return gateway.sendToGroup(text(input, 'group'), topic, body, options);
  },
  kick: (gateway, _cluster, input) => gateway.closeClient(text(input, 'clientId')),
  revoke: (gateway, _cluster, input) => gateway.revoke(text(input, 'uid')),
  tap: (_gateway, cluster, input) =>
    cluster.tapClient(text(input, 'clientId'), {
      cursor: input['cursor'] === undefined ? undefined : text(input, 'cursor'),
    }),
  tapTopic: (_gateway, cluster, input) =>
    cluster.tapTopic(text(input, 'topic'), {
      cursor: input['cursor'] === undefined ? undefined : text(input, 'cursor'),
    }),
  drain: (_gateway, cluster, input) => cluster.drainGate(text(input, 'gate')),
  rebalance: (_gateway, cluster) => cluster.rebalanceGates(),
} as const satisfies Record<string, Action>;

/** Whether this is the name of an action. */
export function isAdminAction(name: string): name is keyof typeof ADMIN_ACTIONS {
  return Object.hasOwn(ADMIN_ACTIONS, name);
}

/** Whether an action goes on with one that has been audited: a tap is asked for what it has seen, again and again. */
export function isContinued(name: string, input: Input): boolean {
  return (name === 'tap' || name === 'tapTopic') && input['cursor'] !== undefined;
}

function text(input: Input, key: string): string {
  const value = input[key];
  if (typeof value !== 'string' || value === '') throw new GateError('BAD_ARGUMENT', `${key} must be a text`);
  return value;
}
