import { type AnyEntry, GateError } from '@nestgate/protocol';
import { checkedSchema } from '../contract/contract-handler.js';
import { type IssueDetail, issueText, validated } from '../contract/schema-issues.js';
import type { GatewayApi } from './gateway-api.js';

/** The methods that push, and which argument is the topic; the body is the next one. */
const TOPIC_AT = {
  sendToClient: 1,
  sendToCurrentClient: 0,
  sendToAll: 0,
  sendToUid: 1,
  sendToGroup: 1,
  closeClient: 1,
  closeCurrentClient: 0,
} as const;

type Push = (...args: unknown[]) => Promise<unknown>;

/**
 * Makes a `GatewayApi` check the bodies of contract pushes before it sends them: one that does not fit its schema rejects with
 * `BAD_ARGUMENT`. Methods of this one object are replaced, so that pushes cost nothing more where nothing is checked. A schema that
 * answers with a promise is not waited for, since pushes are ordered: its issues reject the push after it was sent.
 */
export function checkPushes(gateway: GatewayApi, entries: Iterable<AnyEntry>): void {
  const byTopic = new Map<unknown, AnyEntry>();
  for (const entry of entries) if (checkedSchema(entry.body) && entry.kind === 'push') byTopic.set(entry.topic, entry);
  if (byTopic.size === 0) return;
  for (const [name, at] of Object.entries(TOPIC_AT)) {
    const methods = gateway as unknown as Record<string, Push>;
    const send = methods[name]?.bind(gateway);
    if (!send) continue;
    methods[name] = (...args) => {
      const schema = byTopic.get(args[at])?.body;
      if (!schema) return send(...args);
      const refuse = (issues: readonly IssueDetail[]): GateError =>
        new GateError('BAD_ARGUMENT', `The push '${String(args[at])}' does not fit its contract: ${issueText(issues)}`);
      let outcome: unknown;
      try {
        outcome = validated(schema, args[at + 1], refuse);
      } catch (error) {
        return gateway['watched'](Promise.reject<unknown>(error));
      }
      const sent = send(...args);
      return outcome instanceof Promise ? gateway['watched'](outcome.then(() => sent)) : sent;
    };
  }
}
