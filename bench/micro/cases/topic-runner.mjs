import { requestTo } from '../requests.mjs';

/** What a worker does for a frame: from the dispatcher through the client's lane and its handler to the answer. */
const CLIENTS = 64;

/**
 * @param {import('../target.mjs').Target} target
 * @returns {Promise<import('../target.mjs').MicroCase[]>}
 */
export async function cases(target) {
  /** @type {typeof import('../../../libs/link/dist/index.js')} */
  const { LinkNode, MemoryBus } = await target.load('libs/link/dist/index.js');
  /** @type {typeof import('../../../libs/link/dist/internal.js')} */
  const { Pending, topicContract } = await target.loadInternal('link');
  /** @type {typeof import('../../../libs/worker/dist/topics/run/topic-runner.js')} */
  const { TopicRunner } = await target.load('libs/worker/dist/topics/run/topic-runner.js');
  /** @type {typeof import('../../../libs/worker/dist/topics/handler/topic-handler.js')} */
  const { TopicHandler } = await target.load('libs/worker/dist/topics/handler/topic-handler.js');
  /** @type {typeof import('../../../libs/protocol/dist/index.js')} */
  const { BodyKind } = await target.load('libs/protocol/dist/index.js');

  /** @type {typeof import('../../../libs/link/dist/wire/envelope.js')} */
  const { ENVELOPE_VERSION } = await target.load('libs/link/dist/wire/envelope.js');
  // Before version 2 of the envelope deadlines were times of day.
  const clock = /** @type {number} */ (ENVELOPE_VERSION) === 1 ? Date : performance;

  const info = { epoch: 'e1', modules: [], draining: false };
  const bus = new MemoryBus();
  const gate = new LinkNode({ link: bus.link(), self: { ...info, id: 'g1', role: 'gate' } });
  const worker = new LinkNode({ link: bus.link(), self: { ...info, id: 'w1', role: 'worker' } });
  // As Nest calls it: with a promise.
  const promised = new TopicHandler(async payload => payload, { topic: 'promised' });
  // Without guards, pipes, interceptors and filters Nest is not asked.
  const plain = new TopicHandler(
    async payload => payload,
    { topic: 'plain' },
    payload => payload,
  );
  const handlers = new Map([
    ['promised', promised],
    ['plain', plain],
  ]);
  const runner = new TopicRunner(worker, handlers);
  worker.dispatcher.serve(topicContract, {
    message: (message, call) => runner.accept(message, call),
    update: ({ serial, session }, call) => runner.learn(call.peer, serial, session),
    forget: ({ serial }, call) => runner.forget(call.peer, serial),
  });
  await gate.open();
  await worker.open();
  const peer = gate.peers.get('w1');
  if (!peer) throw new Error('The nodes do not see each other');
  const request = requestTo(gate, peer);

  let left = 0;
  let done = () => {};
  class Answer extends Pending {
    get result() {
      return topicContract.message.result;
    }

    succeed() {
      if (--left === 0) done();
    }

    /** @param {Error} error */
    fail(error) {
      throw error;
    }
  }

  const body = { kind: BodyKind.json, bytes: Buffer.from(`"${'x'.repeat(62)}"`) };
  /** @param {string} topic */
  const framesOn = async topic => {
    const messages = Array.from({ length: CLIENTS }, (_, serial) => ({
      serial,
      topic,
      body,
      wantsResult: true,
      session: snapshotOf(serial),
    }));
    const ask = () =>
      new Promise(resolve => {
        left = CLIENTS;
        done = () => resolve(undefined);
        const deadline = clock.now() + 30_000;
        for (const message of messages) request(topicContract.message, message, new Answer(), deadline);
      });
    // The session travels once, and again only when it has changed.
    await ask();
    for (const message of messages) Object.assign(message, { session: undefined });
    return ask;
  };
  const what = `a frame of each of ${CLIENTS} clients, there and back`;
  return [
    { name: `${what}, Nest's pipeline`, operations: CLIENTS, run: await framesOn('promised') },
    { name: `${what}, no pipeline`, operations: CLIENTS, run: await framesOn('plain') },
  ];
}

/** @param {number} serial */
function snapshotOf(serial) {
  const sessionId = `g1.e1.${serial.toString(36)}`;
  const traceParent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const origin = { sessionId, serverId: 'g1', ip: '::1', network: 'ws', connectedAt: 5, traceParent };
  return { ...origin, userId: '', settings: {}, version: 1 };
}
