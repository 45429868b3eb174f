import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { Gate } from '@nestgate/gate';
import { BinaryClient, createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import fc from 'fast-check';
import { type Layout, LAYOUTS, MAX_BYTES, streamOutcome } from './support/fuzz-binary-model.js';
import { cuts, cutUp, fuzz, fuzzTimeout, mutated } from './support/fuzz-support.js';
import { countersOf, withNeighbour } from '../support/raw-neighbour.js';

const SHARE = 3;
const MAX_BAD_FRAMES = 10;
/** Messages without an answer: of streams and calls that do not exist, too. */
const UNANSWERED: ReadonlySet<string> = new Set(['pong', 'cancel', 'answer']);

/** What one client sends, cut into pieces. */
type Stream = readonly [bytes: Buffer, at: readonly number[] | true];

/** The code that a stream is closed with, and how many answers there are at most: exactly so many when it is not closed. */
function expected(bytes: Buffer, layout: Layout): { readonly code: number | undefined; readonly answers: number } {
  let [answers, badFrames] = [0, 0];
  for (const outcome of streamOutcome(bytes, layout)) {
    if (outcome === 'too-large') return { code: 1009, answers };
    if (outcome === 'too-small' || outcome === 'VIOLATION') return { code: 1002, answers };
    if (!UNANSWERED.has(outcome[0])) answers++;
    if (outcome === 'BAD_FRAME' && ++badFrames === MAX_BAD_FRAMES) return { code: 1008, answers };
  }
  return { code: undefined, answers };
}

describe.each(LAYOUTS)('fuzzed TCP clients that speak gate.$codec', layout => {
  const { codec } = layout;
  let cluster: TestCluster;

  beforeAll(async () => {
    cluster = await createTestCluster({
      handlers: { imports: [HandlersModule] },
      gate: {
        maxConnectionsPerIp: 0,
        maxConnectionRate: 100_000,
        messageRate: 0,
        maxPackSize: MAX_BYTES,
        tcp: { port: 0, codec },
      },
    });
  });
  afterAll(() => cluster.close());

  /** Sends a stream and ends it: whatever it was, the gate then ends too. Returns what it should have counted. */
  async function attempt([bytes, at]: Stream): Promise<number | undefined> {
    const client = await BinaryClient.overTcp(cluster.gate.app.get(Gate).tcpPort as number, { codec });
    for (const piece of cutUp(bytes, at)) {
      if (!client.closedWith) client.sendRaw(piece);
      await new Promise(resolve => setImmediate(resolve));
    }
    client.end();
    await waitUntil('the gate to end the connection', () => client.closedWith);
    const { code, answers } = expected(bytes, layout);
    // A hello comes first where there is one.
    const got = client.messages.length - (codec === 'frame' ? 1 : 0);
    if (code === undefined) expect(got).toBe(answers);
    else expect(got).toBeLessThanOrEqual(answers);
    return code;
  }

  async function attemptAll(streams: readonly Stream[]): Promise<void> {
    const codes = [1002, 1008, 1009] as const;
    const counted = (): number[] => codes.map(code => countersOf(cluster).get('connections_closed', code));
    const before = counted();
    const closed = await Promise.all(streams.map(attempt));
    await waitUntil('the gate to forget them', () => cluster.gate.app.get(Gate).delegater.getAgentNum() === 1);
    const more = counted().map((count, i) => count - (before[i] as number));
    expect(more).toEqual(codes.map(code => closed.filter(each => each === code).length));
  }

  it(
    'are answered, or closed and counted',
    () =>
      withNeighbour(
        cluster,
        () =>
          fuzz<readonly Stream[]>({
            name: `TCP clients of gate.${codec}`,
            inputs: fc.array(
              fc.tuple(mutated(fc.array(layout.message, { maxLength: 12 }).map(each => Buffer.concat(each))), cuts),
              { minLength: 1, maxLength: 16, size: 'max' },
            ),
            share: SHARE,
            minRuns: 3,
            check: attemptAll,
          }),
        { everyMs: 20 },
      ),
    fuzzTimeout(SHARE),
  );
});
