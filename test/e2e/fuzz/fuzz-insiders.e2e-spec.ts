import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Link, parseClientId, TcpLink } from '@nestgate/link';
import { ByteReader, pushContract, receiptContract, sessionContract } from '@nestgate/link/internal';
import { NatsLink } from '@nestgate/link/nats';
import { freePort, LinkProbe, NatsProcess, waitUntil } from '@nestgate/testing';
import { type Batch, batch, bytesOf, framing, KIND } from './support/fuzz-link-batches.js';
import { fuzz, fuzzTimeout } from './support/fuzz-support.js';
import { echo, SECRET, Stage } from './support/fuzz-stage.js';
import { nodeInfo, RawLinkGate, type RawLinkPeer, WIRE } from '../support/raw-link-peer.js';

const SHARE = 4;
/** How often a gate that the test plays says that it lives, in milliseconds. */
const PULSE_MS = 500;
/** Operation, key, time left: what a request has before its arguments. */
const ARGUMENTS_AT = 18;

/** Whether an insider would rightly reach clients that must not notice anything: it names them, or all there are. */
function isRightful(bytes: Buffer, ids: readonly string[]): boolean {
  if (ids.some(id => bytes.includes(id))) return true;
  const serials = new Set(ids.map(id => parseClientId(id)?.serial));
  return framing(bytes).laid.some(({ kind, rest }) => {
    if (kind !== KIND.request || rest.length < ARGUMENTS_AT) return false;
    const [operation, reader] = [rest.readUInt16LE(0), new ByteReader(rest.subarray(ARGUMENTS_AT))];
    try {
      if (operation === pushContract.one.id) return serials.has(pushContract.one.args.read(reader).serial);
      if (operation === receiptContract.broadcast.id) return true;
      if (operation !== sessionContract.broadcast.id) return false;
      return sessionContract.broadcast.args.read(reader).clientIds === undefined;
    } catch {
      return false;
    }
  });
}

const LINKS = ['tcp', 'nats'] as const;

describe.each(LINKS)('a fuzzed node of the cluster over %s', name => {
  let nats: NatsProcess | undefined;
  let stage: Stage;
  let insider: LinkProbe;
  let hostileGate: RawLinkGate | undefined;
  let asGate: RawLinkPeer | undefined;
  let port = 0;

  beforeAll(async () => {
    if (name === 'nats') nats = await NatsProcess.start();
    port = await freePort();
    // The worker dials a second gate, which the test plays.
    hostileGate = name === 'tcp' ? await RawLinkGate.listen(SECRET, peer => void admit(peer)) : undefined;
    const urlOf = (role: 'gate' | 'worker'): string =>
      role === 'gate' ? `tcp://127.0.0.1:${port}` : `tcp://127.0.0.1:${port},127.0.0.1:${hostileGate?.port}`;
    const linkOf = (url: string): Link =>
      nats ? new NatsLink({ url: nats.url }) : new TcpLink({ url, secret: SECRET });
    stage = await Stage.open(role => linkOf(urlOf(role)));
    insider = await new LinkProbe(linkOf(urlOf('gate')), nodeInfo('w9')).open();
    await insider.meets(stage.gate.info.id);
  });
  afterAll(async () => {
    await insider.link.close({ drain: false });
    await stage.cluster.close();
    await hostileGate?.end();
    await nats?.end();
  });

  /** Lets a worker have what it takes for a gate. */
  async function admit(peer: RawLinkPeer): Promise<void> {
    peer.sayHello();
    await peer.next(WIRE.proof);
    peer.send(WIRE.proof, await peer.proof(nodeInfo('g9', 'gate')));
    await peer.next(WIRE.ready);
    peer.send(WIRE.ready);
    asGate = peer;
    const pulse = setInterval(() => peer.send(WIRE.ping, Buffer.alloc(4)), PULSE_MS);
    peer.socket.once('close', () => clearInterval(pulse));
  }

  it(
    'that sends batches of whatever a worker may send touches nobody but its victim',
    async () => {
      let answers = 0;
      await stage.run((witness, ids) =>
        fuzz<Batch>({
          name: `batches of a worker over ${name}`,
          inputs: batch,
          share: SHARE,
          minRuns: 10,
          check: async input => {
            const bytes = bytesOf(input, await stage.victim.clientId());
            if (isRightful(bytes, ids)) return;
            expect(insider.link.send(stage.gate.info.id, bytes)).not.toBe('refused');
            await echo(witness);
            answers += insider.frames.length;
            insider.frames.length = 0;
            expect(insider.knows(stage.gate.info.id)).toBe(true);
          },
        }),
      );
      // What it asks for is done: it was heard.
      expect(answers).toBeGreaterThan(0);
    },
    fuzzTimeout(SHARE),
  );

  // Over nats a gate would be one of the cluster's, which all are asked: it could keep answers back, and no frame is needed.
  if (name === 'nats') return;

  it(
    'that sends batches of whatever a gate may send touches no client of another gate',
    () =>
      stage.run((witness, ids) =>
        fuzz<Batch>({
          name: 'batches of a gate over tcp',
          inputs: batch,
          share: SHARE / 2,
          minRuns: 10,
          check: async input => {
            const { peers } = stage.worker;
            await waitUntil('the worker to have dialled the gate', () => asGate?.isEnded === false && peers.has('g9'));
            const peer = asGate as RawLinkPeer;
            const bytes = bytesOf(input, ids[0] as string);
            peer.send(WIRE.frame, bytes);
            await echo(witness);
            peer.messages.length = 0;
            expect([peers.has('g9'), peer.isEnded]).toEqual([true, false]);
          },
        }),
      ),
    fuzzTimeout(SHARE),
  );
});
