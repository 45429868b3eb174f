import type { SendOptions } from '@nestgate/worker';
import type { ModelClient } from './gateway-model-support.js';
import type { Push } from './gateway-operations-support.js';
import { assertSame, type GatewayStage } from './gateway-stage-support.js';

const TOPIC = 'stage/push';

/** A push with its numbers turned into clients. */
interface Aimed {
  /** Whom it should reach. */
  readonly receivers: readonly ModelClient[];
  send(body: unknown, options: SendOptions): Promise<unknown>;
}

/** Sends pushes one after another, or all at once, and looks who got them, in which order, and that each came once. */
export async function runPushes(stage: GatewayStage, pushes: readonly Push[], awaited: boolean): Promise<void> {
  const expected = new Map<string, unknown[]>();
  const outcomes: Promise<unknown>[] = [];
  const shouldBe: unknown[] = [];
  for (const push of pushes) {
    const body = stage.nextBody();
    const exclude = push.exclude?.map(each => stage.pick(each));
    const { receivers, send } = aim(stage, push);
    const reached = receivers.filter(client => !exclude?.includes(client.id));
    for (const { id } of reached) expected.set(id, [...(expected.get(id) ?? []), body]);
    const outcome = send(body, { confirm: push.confirm, exclude });
    outcomes.push(outcome);
    shouldBe.push(push.confirm ? outcomeOf(push, reached.length) : undefined);
    if (awaited) await outcome;
  }
  assertSame('outcomes of pushes', (await Promise.all(outcomes)).map(orNothing), shouldBe.map(orNothing));
  await stage.expectPushes(expected);
}

function outcomeOf({ to }: Push, delivered: number): unknown {
  return to === 'one' ? delivered > 0 : { delivered };
}

/** JSON has no `undefined`. */
function orNothing(value: unknown): unknown {
  return value ?? 'nothing';
}

function aim(stage: GatewayStage, push: Push): Aimed {
  const { api, model } = stage;
  const ids = push.who.map(each => stage.pick(each));
  const [first] = ids as [string];
  const excludeIds = push.excludeIds?.map(each => stage.pick(each));
  const names = push.alone ? push.names.slice(0, 1) : push.names;
  const given = push.alone ? (names[0] as string) : names;
  const without = (clients: readonly ModelClient[]) => clients.filter(client => !excludeIds?.includes(client.id));
  switch (push.to) {
    case 'one':
      return {
        receivers: model.present([first]),
        send: (body, options) => api.sendToClient(first, TOPIC, body, options),
      };
    case 'several':
      return { receivers: model.present(ids), send: (body, options) => api.sendToClient(ids, TOPIC, body, options) };
    case 'all':
      return {
        receivers: without(push.only ? model.present(ids) : model.all()),
        send: (body, options) => api.sendToAll(TOPIC, body, push.only ? ids : undefined, excludeIds, options),
      };
    case 'uid':
      return { receivers: model.ofUids(names), send: (body, options) => api.sendToUid(given, TOPIC, body, options) };
    case 'group':
      return {
        receivers: without(model.inGroups(names)),
        send: (body, options) => api.sendToGroup(given, TOPIC, body, excludeIds, options),
      };
  }
}
