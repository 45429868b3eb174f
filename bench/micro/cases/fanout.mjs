/** One message to a group: its index, the push that is encoded once, and the outboxes of all members. */
const MEMBERS = 1_000;
const MERGED = 4;

/**
 * @param {import('../target.mjs').Target} target
 * @returns {Promise<import('../target.mjs').MicroCase[]>}
 */
export async function cases(target) {
  /** @type {typeof import('../../../libs/gate/dist/hub/memberships.js')} */
  const { Memberships } = await target.load('libs/gate/dist/hub/memberships.js');
  /** @type {typeof import('../../../libs/gate/dist/hub/pusher.js')} */
  const { Pusher } = await target.load('libs/gate/dist/hub/pusher.js');
  /** @type {typeof import('../../../libs/gate/dist/client/outbox.js')} */
  const { Outbox } = await target.load('libs/gate/dist/client/outbox.js');
  /** @type {typeof import('../../../libs/gate/dist/client/drain-queue.js')} */
  const { DrainQueue } = await target.load('libs/gate/dist/client/drain-queue.js');
  /** @type {typeof import('../../../libs/gate/dist/codec/json-ws-wire.js')} */
  const { JsonWsWire } = await target.load('libs/gate/dist/codec/json-ws-wire.js');
  /** @type {typeof import('../../../libs/gate/dist/hooks/pack-hooks.js')} */
  const { OpenSendMessageHook } = await target.load('libs/gate/dist/hooks/pack-hooks.js');
  /** @type {typeof import('../../../libs/gate/dist/gate-counters.js')} */
  const { GateCounters } = await target.load('libs/gate/dist/gate-counters.js');
  /** @type {typeof import('../../../libs/protocol/dist/index.js')} */
  const { BodyKind } = await target.load('libs/protocol/dist/index.js');

  let writes = 0;
  const nothing = () => {};
  const connection = {
    network: 'ws',
    ip: '::1',
    bytesRead: 0,
    takenBytes: 0,
    writableLength: 0,
    write: () => void writes++,
    awaitDrain: nothing,
    ping: nothing,
    pause: nothing,
    resume: nothing,
    close: nothing,
    destroy: nothing,
  };
  const limits = /** @type {const} */ ({
    sendPackBuffNum: 1_000,
    sendBuffBytes: 2 ** 20,
    slowClientPolicy: 'disconnect',
  });
  const queue = new DrainQueue();
  const wire = new JsonWsWire(32);
  const groups = new Memberships();
  for (let i = 0; i < MEMBERS; i++) {
    const outbox = new Outbox(connection, queue, limits);
    groups.add('group', { wire, sendFrame: (/** @type {Uint8Array} */ frame) => outbox.add(frame) === 'accepted' });
  }
  const options = /** @type {never} */ ({ requestTimeout: 30_000 });
  // The commit that is compared with may not know the node yet.
  const node = /** @type {never} */ ({ defects: { report: nothing, reporter: () => nothing } });
  const pusher = new Pusher(new OpenSendMessageHook(), new GateCounters(), options, node);
  const body = { kind: BodyKind.json, bytes: Buffer.from(`"${'x'.repeat(126)}"`) };
  const broadcasts = (/** @type {number} */ count) => ({
    name: `${count} broadcast${count > 1 ? 's' : ''} to ${MEMBERS} members in one turn, for each delivery`,
    operations: MEMBERS * count,
    run: async () => {
      const before = writes;
      for (let i = 0; i < count; i++) pusher.push(/** @type {never} */ (groups.members('group')), 'fan/msg', body);
      await Promise.resolve();
      if (writes - before !== MEMBERS) throw new Error(`${writes - before} writes for ${MEMBERS} members`);
    },
  });
  return [
    broadcasts(1),
    broadcasts(MERGED),
    {
      name: 'join and leave a group',
      operations: 1_000,
      run: () => {
        const member = {};
        for (let i = 0; i < 1_000; i++) {
          groups.add('other', member);
          groups.remove('other', member);
        }
      },
    },
  ];
}
