import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BinaryClient, jsonOf, waitUntil } from '@nestgate/testing';
import { VIOLATIONS } from './support/bad-input-frames-cases.js';
import { BAD_HANDSHAKES, bytesOfRequest } from './support/bad-input-handshake-cases.js';
import { BAD_FRAMES } from './support/bad-input-json-cases.js';
import { BAD_PACKS, BROKEN_PACKS, type PackCase } from './support/bad-input-packs-cases.js';
import { HostileStage, SECRET } from './support/bad-input-process-support.js';
import { BAD_TOPICS, UNSERVED } from './support/bad-input-topics-cases.js';
import { nodeInfo, RawLinkPeer, WIRE } from '../support/raw-link-peer.js';
import { RawSocket, statusOf, upgradeRequest } from '../support/raw-socket.js';
import { RawClient } from '../support/raw-websocket.js';

/** Short, so that silence is noticed within the test; the neighbours are never so long silent. */
const OPTIONS = { tcp: { port: 0 }, overTime: 1_000, heartOverTimer: 2_000, maxConnectionRate: 100_000 };
/** Refused in vain: deflate is off. */
const OFFERS_DEFLATE = { headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' } };
/** Lines that all of this may cost in the log of a node. */
const MAX_LINES = 150;

describe('a gate in a process of its own, with neighbours that must not notice anything,', () => {
  let stage: HostileStage;
  let port: number;

  beforeAll(async () => {
    stage = await HostileStage.start(OPTIONS);
    ({ port } = stage.gate);
  });
  afterAll(() => stage.end());

  it('refuses and counts every bad handshake', async () => {
    const wrong: string[] = [];
    for (const [what, status, request] of BAD_HANDSHAKES) {
      const run = async (): Promise<string | undefined> => {
        const answer = await statusOf(port, bytesOfRequest(request));
        return answer === status ? undefined : `answered with ${answer}`;
      };
      wrong.push(...(await stage.attempt(what, 'handshakes_refused', status, run)));
    }
    expect(wrong).toEqual([]);
    await stage.check();
  });

  it('closes and counts handshakes that are silent, stop halfway or drip', async () => {
    const run = async (): Promise<void> => {
      const sockets = await Promise.all(['', upgradeRequest().slice(0, 60), upgradeRequest().slice(0, -2)].map(begin));
      const drip = setInterval(() => sockets[2]?.send('X-A: b\r\n'), 50);
      try {
        for (const socket of sockets) await waitUntil('the gate to end the connection', () => socket.ended);
      } finally {
        clearInterval(drip);
      }
    };
    expect(await stage.attempt('late handshakes', 'handshakes_refused', 408, run, 3)).toEqual([]);
    await stage.check();
  });

  async function begin(text: string): Promise<RawSocket> {
    const socket = await RawSocket.open(port);
    if (text !== '') socket.send(text);
    return socket;
  }

  it('closes and counts every violation of WebSocket', async () => {
    const wrong: string[] = [];
    for (const [what, code, bytes] of VIOLATIONS) {
      const client = await RawClient.connect(port, OFFERS_DEFLATE);
      const run = async (): Promise<string | undefined> => {
        client.send(bytes);
        const closedWith = await client.closed();
        return closedWith === code && client.framesAfterClose === 0 ? undefined : `closed with ${closedWith}`;
      };
      wrong.push(...(await stage.attempt(what, 'connections_closed', code, run)));
    }
    expect(wrong).toEqual([]);
    await stage.check();
  });

  it.each([
    ...BAD_FRAMES.map(([what, texts]) => [`frame ${what}`, 'BAD_FRAME', texts] as const),
    ['topic against the grammar', 'BAD_TOPIC', BAD_TOPICS.map(topic => JSON.stringify({ topic }))] as const,
    ...['NO_ROUTE', 'NO_HANDLER'].map(code => {
      const topics = UNSERVED.filter(([, each]) => each === code).map(([topic]) => JSON.stringify({ topic }));
      return [`topic that has ${code}`, code, topics] as const;
    }),
  ])('answers and counts every %s: %s', async (_what, code, texts) => {
    const wrong: string[] = [];
    let client = await RawClient.connect(port);
    for (const [i, text] of texts.entries()) {
      // The tenth bad frame would close it.
      if (i % 9 === 8) client = await RawClient.connect(port);
      const run = async (): Promise<string | undefined> => {
        client.frames.length = 0;
        client.sendText(text);
        await client.sync();
        const codes = client.frames.map(({ body }) => (body as { code?: string } | null)?.code);
        return codes[0] === code && codes.length === 2 ? undefined : `answered with ${codes.join()}`;
      };
      wrong.push(...(await stage.attempt(text.slice(0, 80), 'frames_refused', code, run)));
    }
    expect(wrong).toEqual([]);
    await stage.check();
  });

  function connectBinary({ codec, network }: PackCase): Promise<BinaryClient> {
    return network === 'ws'
      ? BinaryClient.overWs(`ws://127.0.0.1:${port}/gate`, { codec })
      : stage.gate.state().then(({ tcpPort }) => BinaryClient.overTcp(tcpPort as number, { codec }));
  }

  it('closes and counts every pack and frame that is broken', async () => {
    const wrong: string[] = [];
    for (const pack of BROKEN_PACKS) {
      const { what, bytes, code } = pack;
      const client = await connectBinary(pack);
      const run = async (): Promise<void> => {
        for (const message of [bytes].flat()) client.sendRaw(message);
        await client.closed;
      };
      wrong.push(...(await stage.attempt(what, 'connections_closed', code, run)));
      client.destroy();
    }
    expect(wrong).toEqual([]);
    await stage.check();
  });

  it('answers and counts every pack and frame that is whole and wrong', async () => {
    const wrong: string[] = [];
    for (const pack of BAD_PACKS) {
      const { what, bytes, code } = pack;
      const client = await connectBinary(pack);
      const run = async (): Promise<string | undefined> => {
        for (const message of [bytes].flat()) client.sendRaw(message);
        const isError = (text: string): boolean => text.includes('"code"');
        const message = await waitUntil('the error', () =>
          client.messages.find(({ body }) => isError(body.toString())),
        );
        const got = jsonOf<{ code: string }>(message).code;
        return got === code ? undefined : `answered with ${got}`;
      };
      wrong.push(...(await stage.attempt(what, 'frames_refused', code, run)));
      client.destroy();
    }
    expect(wrong).toEqual([]);
    await stage.check();
  });

  it('changes no session for an unauthenticated connection to its link', async () => {
    const attacks: Readonly<Record<string, (peer: RawLinkPeer) => void | Promise<void>>> = {
      'random bytes': peer => peer.raw(Buffer.concat([Buffer.alloc(4, 7), randomBytes(65_536)])),
      'a length of 8 GiB': peer => peer.raw(Buffer.of(0, 0, 0, 0, 2, 0, 0, 0)),
      'a bad HMAC': async peer => {
        peer.sayHello();
        const info = Buffer.from(JSON.stringify(nodeInfo('w2')));
        await peer.next(WIRE.hello);
        peer.send(WIRE.proof, Buffer.concat([randomBytes(32), info]));
      },
      'the nonce of the gate': async peer => {
        const hello = await peer.next(WIRE.hello);
        peer.send(WIRE.hello, hello);
        peer.send(WIRE.proof, await peer.proof(nodeInfo('w2'), { nonce: hello.subarray(1) }));
      },
      silence: () => undefined,
    };
    const insiders: Readonly<Record<string, Parameters<typeof nodeInfo>>> = {
      'a worker that poses as a gate': ['g2', 'gate'],
      'a worker with the id of another': ['w1', 'worker', '2'],
      'a worker with the id of the gate': ['g1', 'worker', '2'],
    };
    const refusalOf = async (secret: string, attack: (peer: RawLinkPeer) => void | Promise<void>) => {
      const peer = await RawLinkPeer.dial(stage.linkPort, secret);
      try {
        await attack(peer);
        return await peer.refusal(6_000);
      } finally {
        peer.socket.destroy();
      }
    };
    const refusals = await Promise.all([
      ...Object.values(attacks).map(attack => refusalOf('guessed', attack)),
      ...Object.values(insiders).map(info => refusalOf(SECRET, peer => peer.prove(nodeInfo(...info)))),
    ]);
    expect(refusals.map(text => text ?? 'closed')).toEqual([
      'A message of an impossible length',
      'A message of an impossible length',
      'The secret is not the same',
      'The secret is not the same',
      'closed',
      'A node of the role gate is not expected here',
      'The id "w1" is taken',
      'The id "g1" is taken',
    ]);
    await stage.check();
  });

  it('has lost, doubled, mixed up and delayed nothing of its neighbours in all that', () => stage.finish());

  it('has written few lines of it, and none that breaks a log', () => {
    for (const { output } of [stage.gate, stage.worker]) {
      expect(output.split('\n').length).toBeLessThan(MAX_LINES);
      // oxlint-disable-next-line no-control-regex
      expect(output).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/);
    }
  });
});
