import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import fc from 'fast-check';
import { cuts, cutUp, fuzz, fuzzTimeout, mutated, randomBytes } from './support/fuzz-support.js';
import { keyOf, MODEL, WsModel, type WsOutcome } from './support/fuzz-ws-model.js';
import { countersOf, withNeighbour } from '../support/raw-neighbour.js';
import { closeFrame, fragments, OP, RawClient, wsFrame } from '../support/raw-websocket.js';

const SHARE = 14;
/** The id of the request that shows that a connection is still served. */
const SYNC = 777_001;
/** Pings of a stream up to which the gate surely answers them all. */
const FEW_PINGS = 25;

const id = fc.integer({ min: 1, max: 2 ** 53 - 1 }).filter(each => each !== SYNC);

const request = fc
  .record(
    {
      topic: fc.constantFrom(
        'echo/echo',
        'echo/echo',
        'echo/echo',
        '$gate/ping',
        'echo/nope',
        'nowhere/x',
        '*',
        '$gate/x',
      ),
      body: fc.jsonValue({ maxDepth: 2 }),
      id,
    },
    { requiredKeys: ['topic'] },
  )
  .map(frame => JSON.stringify(frame));

const large = fc.tuple(fc.integer({ min: MODEL.maxPayload - 3, max: MODEL.maxPayload + 2 }), id).map(([size, each]) => {
  const head = `{"topic":"echo/echo","id":${each},"body":"`;
  return `${head}${'x'.repeat(size - head.length - 2)}"}`;
});

const message: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 8, arbitrary: request.map(each => Buffer.from(each)) },
  { weight: 2, arbitrary: mutated(request.map(each => Buffer.from(each))) },
  { weight: 1, arbitrary: large.map(each => Buffer.from(each)) },
  { weight: 1, arbitrary: randomBytes },
);

const divided = fc
  .tuple(message, fc.array(fc.nat(1_000), { maxLength: 5 }), fc.nat(70))
  .map(([data, at, empty]) =>
    fragments(...cutUp(data, at), ...(empty > 60 ? Array.from({ length: empty }, () => '') : [])),
  );

const control = fc
  .tuple(fc.constantFrom(OP.ping, OP.pong), fc.uint8Array({ maxLength: 125 }))
  .map(([opcode, payload]) => wsFrame({ opcode, payload }));

const close = fc
  .tuple(fc.constantFrom(1000, 1001, 1005, 1006, 1011, 1015, 3000, 4999, 5000, 0), fc.string({ maxLength: 10 }))
  .map(([code, reason]) => closeFrame(code, reason));

/** Any frame there can be, most of which must not be. */
const anyFrame = fc
  .record({
    fin: fc.boolean(),
    rsv: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(7) }),
    opcode: fc.nat(15),
    masked: fc.oneof({ weight: 8, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
    payload: message,
    claim: fc.option(fc.constantFrom(0n, 1n, 125n, 126n, 2_000n, 2_001n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n), {
      nil: undefined,
      freq: 10,
    }),
  })
  .map(wsFrame);

const frame: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 10, arbitrary: message.map(payload => wsFrame({ payload })) },
  { weight: 4, arbitrary: divided },
  { weight: 3, arbitrary: control },
  { weight: 2, arbitrary: anyFrame },
  { weight: 1, arbitrary: close },
);

const stream = fc.record({
  bytes: mutated(
    fc.array(frame, { minLength: 1, maxLength: 12 }).map(frames => Buffer.concat(frames)),
    1,
  ),
  at: cuts,
});

/** What one client sends, cut into pieces. */
interface Stream {
  readonly bytes: Buffer;
  readonly at: readonly number[] | true;
}

/** What becomes of a client in the counters. */
interface Counted {
  /** What the gate has closed it with; `undefined` where it has not. */
  readonly code: number | undefined;
  readonly isSure: boolean;
}

const REFUSALS = [1002, 1003, 1007, 1008, 1009] as const;

describe('fuzzed WebSocket streams', () => {
  let cluster: TestCluster;

  beforeAll(async () => {
    cluster = await createTestCluster({
      handlers: { imports: [HandlersModule] },
      gate: { maxConnectionsPerIp: 0, maxConnectionRate: 100_000, messageRate: 0, maxPackSize: MODEL.maxPayload },
    });
  });
  afterAll(() => cluster.close());

  async function sendAll(client: RawClient, { bytes, at }: Stream): Promise<void> {
    for (const piece of cutUp(bytes, at)) {
      client.send(piece);
      await new Promise(resolve => setImmediate(resolve));
    }
  }

  /** Sends a stream, and checks what comes back against the model. Returns what the gate should count. */
  async function attempt(input: Stream): Promise<Counted> {
    const client = await RawClient.connect(cluster.gate.port);
    const outcome = WsModel.read(input.bytes);
    const { codes, isClosed, isWhole, messages, pongs } = outcome;
    await sendAll(client, input);
    if (pongs.length > FEW_PINGS) {
      // How many pings are too many depends on how long they took.
      client.socket.reset();
      return { code: undefined, isSure: false };
    }
    if (codes.length > 0) {
      expect(codes).toContain(await client.closed());
    } else if (isWhole) {
      await client.sync(SYNC);
      await waitUntil('all answers', () => client.frames.length > messages.length);
      checkAnswers(client, outcome);
      client.socket.socket.end();
    } else {
      client.socket.socket.end();
      await client.closed();
    }
    expect(client.framesAfterClose).toBe(0);
    return { code: isClosed && codes.length === 1 ? undefined : codes[0], isSure: codes.length < 2 };
  }

  /** How many connections the gate has closed itself, with each of the codes for clients that break the protocol. */
  function closed(): number[] {
    return REFUSALS.map(code => countersOf(cluster).get('connections_closed', code));
  }

  async function attemptAll(streams: readonly Stream[]): Promise<void> {
    const before = closed();
    const counted = await Promise.all(streams.map(attempt));
    await waitUntil('the gate to forget them', async () => (await cluster.api.getAllClientCount()) === 1);
    const unsure = counted.filter(({ isSure }) => !isSure).length;
    for (const [i, after] of closed().entries()) {
      const sure = counted.filter(({ code, isSure }) => isSure && code === REFUSALS[i]).length;
      const more = after - (before[i] as number);
      expect(more).toBeGreaterThanOrEqual(sure);
      expect(more).toBeLessThanOrEqual(sure + unsure);
    }
  }

  it(
    'are answered as the protocol says, each one counted that breaks it',
    () =>
      withNeighbour(
        cluster,
        () =>
          fuzz({
            name: 'WebSocket streams',
            inputs: fc.array(stream, { minLength: 1, maxLength: 24, size: 'max' }),
            share: SHARE,
            minRuns: 5,
            check: attemptAll,
          }),
        { everyMs: 20 },
      ),
    fuzzTimeout(SHARE),
  );
});

/** Every message has its answer, in whatever order: errors overtake the replies of handlers, and replies keep theirs. */
function checkAnswers(client: RawClient, { messages, pongs }: WsOutcome): void {
  const ids = messages.map(key => key.split(' ', 1)[0]);
  const isTwice = (key: string): boolean => ids.filter(each => each === key.split(' ', 1)[0]).length > 1;
  // Of two requests with one id the second may have come before the first was answered.
  const comparable = (keys: readonly string[]): string[] =>
    keys.filter(key => !isTwice(key) || key.startsWith('e')).sort();
  const answers = client.frames.map(keyOf).filter(key => key !== `${SYNC} null`);
  expect(answers.length).toBe(messages.length);
  expect(comparable(answers)).toEqual(comparable(messages));
  expect(client.pongs).toEqual(pongs);
}
