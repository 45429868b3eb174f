import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TcpLink } from '@nestgate/link';
import { type FakeClient, freePort, waitUntil } from '@nestgate/testing';
import fc from 'fast-check';
import { echo, SECRET, Stage } from './support/fuzz-stage.js';
import { cuts, cutUp, fuzz, fuzzTimeout, mutated, randomBytes } from './support/fuzz-support.js';
import { nodeInfo, RawLinkPeer, WIRE, wireMessage } from '../support/raw-link-peer.js';

const SHARE = 2.5;

/** What connections to the port of a gate's link may say, rightly for the most part. */
const wire = fc
  .array(
    fc.oneof(
      fc.tuple(fc.constantFrom<number>(WIRE.frame, WIRE.cast, WIRE.ping, 42), randomBytes),
      fc.constant([WIRE.info, Buffer.from(JSON.stringify(nodeInfo('w9')))] as const),
    ),
    { maxLength: 5 },
  )
  .map(messages => Buffer.concat(messages.map(([type, content]) => wireMessage(type, content))));

describe('fuzzed connections to the port of a gate', () => {
  let stage: Stage;
  let link: TcpLink;

  beforeAll(async () => {
    const port = await freePort();
    stage = await Stage.open(role => {
      const created = new TcpLink({ url: `tcp://127.0.0.1:${port}`, secret: SECRET });
      if (role === 'gate') link = created;
      return created;
    });
  });
  afterAll(() => stage.cluster.close());

  const refusals = (): number => Object.values(link.counters ?? {}).reduce((sum, count) => sum + count, 0);

  /** Sends the data of one connection and closes it; refused connections are counted. */
  async function say(peer: RawLinkPeer, pieces: readonly Buffer[], witness: FakeClient): Promise<void> {
    const before = refusals();
    for (const piece of pieces) {
      peer.raw(piece);
      await new Promise(resolve => setImmediate(resolve));
    }
    await echo(witness);
    peer.socket.end();
    await waitUntil('the end of the connection', () => peer.isEnded);
    const isRefused = peer.messages.some(([type]) => type === WIRE.refused);
    expect(refusals() - before).toBe(isRefused ? 1 : 0);
    peer.socket.destroy();
    await waitUntil('the gate to have lost it', () => link.peers().size === 1);
  }

  it(
    'by those who know no secret are refused',
    () =>
      stage.run(witness =>
        fuzz({
          name: 'unauthenticated connections to the tcp link',
          inputs: fc.tuple(
            fc.oneof(
              mutated(
                fc
                  .tuple(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.boolean(), wire)
                  .map(([nonce, proves, rest]) => {
                    const hello = wireMessage(WIRE.hello, Buffer.concat([Buffer.of(2), nonce]));
                    const info = Buffer.from(JSON.stringify(nodeInfo('w9')));
                    return Buffer.concat([
                      hello,
                      proves ? wireMessage(WIRE.proof, Buffer.concat([nonce, info])) : rest,
                    ]);
                  }),
              ),
              randomBytes,
            ),
            cuts,
          ),
          share: SHARE,
          minRuns: 5,
          check: async ([bytes, at]) => {
            const peer = await RawLinkPeer.dial(link.address?.port ?? 0, 'guessed');
            await say(peer, cutUp(bytes, at), witness);
            expect([...link.peers().keys()]).toEqual([stage.worker.info.id]);
            expect(
              peer.messages.every(([type]) => type === WIRE.hello || type === WIRE.refused || type === WIRE.duplicate),
            ).toBe(true);
          },
        }),
      ),
    fuzzTimeout(SHARE),
  );

  it(
    'by those who know it are heard or cut off',
    () =>
      stage.run(witness =>
        fuzz({
          name: 'insiders at the tcp link',
          inputs: fc.tuple(mutated(wire), cuts),
          share: SHARE,
          minRuns: 5,
          check: async ([bytes, at]) => {
            const peer = await RawLinkPeer.dial(link.address?.port ?? 0, SECRET);
            await peer.join(nodeInfo('w9'));
            await say(peer, cutUp(bytes, at), witness);
          },
        }),
      ),
    fuzzTimeout(SHARE),
  );
});
