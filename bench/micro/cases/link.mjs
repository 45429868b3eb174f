import { replyTo, requestTo } from '../requests.mjs';

/** What carries frames between nodes: the envelope alone, and two nodes of one process that ask each other. */
const PER_TURN = 64;

/**
 * @param {import('../target.mjs').Target} target
 * @returns {Promise<import('../target.mjs').MicroCase[]>}
 */
export async function cases(target) {
  /** @type {typeof import('../../../libs/link/dist/index.js')} */
  const link = await target.load('libs/link/dist/index.js');
  /** @type {typeof import('../../../libs/link/dist/wire/envelope.js')} */
  const envelope = await target.load('libs/link/dist/wire/envelope.js');
  /** @type {typeof import('../../../libs/protocol/dist/index.js')} */
  const { BodyKind } = await target.load('libs/protocol/dist/index.js');
  /** @type {typeof import('../../../libs/link/dist/internal.js')} */
  const { topicContract, ByteReader, ByteWriter, Pending } = await target.loadInternal('link');

  // Before version 2 of the envelope a request had one number.
  const hasNumbers = /** @type {number} */ (envelope.ENVELOPE_VERSION) === 1;
  const keys = Array.from(
    { length: PER_TURN },
    (_, slot) => /** @type {never} */ (hasNumbers ? slot + 1 : { series: 1, generation: slot + 1, slot }),
  );
  // It took the time of day, too.
  const clock = hasNumbers ? Date : performance;
  const body = { kind: BodyKind.json, bytes: Buffer.from(`"${'x'.repeat(62)}"`) };
  const message = { serial: 7, topic: 'echo/echo', body, wantsResult: true, session: undefined };
  const written = new ByteWriter();
  topicContract.message.args.write(written, message);
  const bytes = written.take();

  const info = { epoch: 'e1', modules: [], draining: false };
  const bus = new link.MemoryBus();
  const gate = new link.LinkNode({ link: bus.link(), self: { ...info, id: 'g1', role: 'gate' } });
  const worker = new link.LinkNode({ link: bus.link(), self: { ...info, id: 'w1', role: 'worker' } });
  worker.dispatcher.serve(topicContract, {
    message: (asked, call) => replyTo(worker, call, topicContract.message, asked.body),
    update: () => undefined,
    forget: () => undefined,
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

  return [
    {
      name: 'envelope, write a request',
      operations: PER_TURN,
      run: () => {
        const writer = new ByteWriter();
        for (const key of keys) envelope.writeRequest(writer, topicContract.message, key, 30_000, message);
        writer.take();
      },
    },
    {
      name: 'envelope, read arguments',
      operations: PER_TURN,
      run: () => {
        for (let i = 0; i < PER_TURN; i++) topicContract.message.args.read(new ByteReader(bytes));
      },
    },
    {
      name: `two nodes in memory, there and back, ${PER_TURN} a turn`,
      operations: PER_TURN,
      run: () =>
        new Promise(resolve => {
          left = PER_TURN;
          done = () => resolve(undefined);
          const deadline = clock.now() + 30_000;
          for (let i = 0; i < PER_TURN; i++) request(topicContract.message, message, new Answer(), deadline);
        }),
    },
  ];
}
