import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { Gate } from '@nestgate/gate';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { OnTopic } from '@nestgate/worker';
import { WebSocket } from 'ws';

const KIND = { push: 0, request: 1, reply: 2, pong: 5, hello: 6, open: 7, resume: 8, resumed: 9, ack: 10, mark: 11 };
const MORE_KINDS = { gap: 12, bye: 14, refused: 15 };

interface Frame {
  readonly kind: number;
  readonly id: number;
  readonly topic: string;
  readonly body: Buffer;
}

function encode(kind: number, body: string | Buffer | object = '', topic = '', id = 0): Buffer {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  const hasId = kind >= 1 && kind <= 3;
  const head = Buffer.alloc(4 + 1 + (hasId ? 4 : 0) + 2);
  head.writeUInt32LE(head.length - 4 + topic.length + bytes.length);
  head[4] = kind;
  if (hasId) head.writeUInt32LE(id, 5);
  head.writeUInt16LE(topic.length, head.length - 2);
  return Buffer.concat([head, Buffer.from(topic), bytes]);
}

function decode(data: Buffer): Frame {
  const kind = data[4] as number;
  const hasId = kind >= 1 && kind <= 3;
  const at = hasId ? 9 : 5;
  const topicEnd = at + 2 + data.readUInt16LE(at);
  return {
    kind,
    id: hasId ? data.readUInt32LE(5) : 0,
    topic: data.toString('latin1', at + 2, topicEnd),
    body: data.subarray(topicEnd),
  };
}

function u64(count: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(count));
  return bytes;
}

/** A connection that carries frames. */
interface Pipe {
  readonly frames: Frame[];
  /** The close code; 0 for a TCP connection that has ended. */
  closed: number | undefined;
  send(...frames: Buffer[]): void;
  cut(): void;
}

async function overWs(port: number): Promise<Pipe> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/gate`, ['gate.frame.2', 'gate.frame']);
  const pipe: Pipe = {
    frames: [],
    closed: undefined,
    send: (...frames) => frames.forEach(frame => socket.send(frame)),
    cut: () => socket.terminate(),
  };
  socket.on('message', data => pipe.frames.push(decode(data as Buffer)));
  socket.on('close', code => (pipe.closed = code));
  await once(socket, 'open');
  expect(socket.protocol).toBe('gate.frame.2');
  return pipe;
}

async function overTcp(port: number): Promise<Pipe> {
  const socket: Socket = connect(port, '127.0.0.1');
  let data = Buffer.alloc(0);
  const pipe: Pipe = {
    frames: [],
    closed: undefined,
    send: (...frames) => void socket.write(Buffer.concat(frames)),
    cut: () => socket.resetAndDestroy(),
  };
  socket.on('data', chunk => {
    data = Buffer.concat([data, chunk]);
    while (data.length >= 4 && data.length >= 4 + data.readUInt32LE(0)) {
      const size = 4 + data.readUInt32LE(0);
      pipe.frames.push(decode(data.subarray(0, size)));
      data = data.subarray(size);
    }
  });
  socket.on('error', () => undefined);
  socket.on('end', () => socket.end());
  socket.on('close', () => (pipe.closed = 0));
  await once(socket, 'connect');
  return pipe;
}

@Controller()
class EchoTopics {
  @OnTopic('echo/echo')
  echo(@Payload() body: Buffer): Buffer {
    return body;
  }
}

describe.each(['ws', 'tcp'] as const)('resumable sessions of frames over %s', network => {
  let cluster: TestCluster;
  const dial = () =>
    network === 'ws' ? overWs(cluster.gate.port) : overTcp(cluster.gate.app.get(Gate).tcpPort as number);
  const frameOf = (pipe: Pipe, kind: number) =>
    waitUntil(`a frame of kind ${kind}`, () => {
      const found = pipe.frames.find(frame => frame.kind === kind);
      if (!found && pipe.closed !== undefined) throw new Error(`closed with ${pipe.closed}`);
      return found;
    });
  const jsonOf = async (pipe: Pipe, kind: number) =>
    JSON.parse((await frameOf(pipe, kind)).body.toString()) as Record<string, unknown>;
  const end = (pipe: Pipe) => waitUntil('the end', () => pipe.closed !== undefined);

  beforeAll(async () => {
    cluster = await createTestCluster({
      handlers: { controllers: [EchoTopics] },
      gate: { resume: { frames: 4, ackMs: 50 }, tcp: { port: 0, codec: 'frame2' }, pingInterval: 200, overTime: 400 },
    });
  });
  afterAll(() => cluster.close());

  it('open, acknowledge, mark, resume with a gap, and end', async () => {
    const first = await dial();
    first.send(encode(KIND.open, { v: 2, keep: true }), encode(KIND.request, 'hi', 'echo/echo', 7));
    const hello = await jsonOf(first, KIND.hello);
    const clientId = hello['clientId'] as string;
    const { ticket } = hello['session'] as { ticket: string };
    expect(ticket).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect((await frameOf(first, KIND.reply)).body.toString()).toBe('hi');
    expect((await frameOf(first, KIND.ack)).body).toEqual(u64(1));
    expect((await frameOf(first, KIND.mark)).body).toEqual(u64(1));
    first.send(encode(KIND.ack, u64(1)));
    first.cut();
    await waitUntil('the client to be away', async () => (await cluster.api.getClientState(clientId)) === 'away');
    for (let i = 1; i <= 6; i++) await cluster.api.sendToClient(clientId, 'p/p', Buffer.of(i));

    const second = await dial();
    second.send(encode(KIND.resume, { v: 2, session: clientId, ticket, seen: 1, sent: 1 }));
    expect(await jsonOf(second, KIND.resumed)).toMatchObject({ clientId, from: 4, heard: 1 });
    await waitUntil('the pushes', () => second.frames.length >= 6);
    expect(second.frames.slice(0, 6).map(({ kind, body }) => [kind, kind === KIND.push ? body[0] : 0])).toEqual([
      [KIND.resumed, 0],
      [MORE_KINDS.gap, 0],
      [KIND.push, 3],
      [KIND.push, 4],
      [KIND.push, 5],
      [KIND.push, 6],
    ]);
    expect(await jsonOf(second, MORE_KINDS.gap)).toEqual({ from: 2, n: 2, why: 'overrun' });
    second.send(encode(MORE_KINDS.bye));
    await end(second);
    expect(await cluster.api.getClientState(clientId)).toBe('gone');

    const third = await dial();
    third.send(encode(KIND.resume, { v: 2, session: clientId, ticket, seen: 1, sent: 1 }));
    expect(await jsonOf(third, MORE_KINDS.refused)).toMatchObject({ code: 'RESUME_CLOSED', closeCode: 1000 });
    await frameOf(third, KIND.hello);
    third.cut();
  });

  it('keep nothing without keep, and speak as gate.frame then', async () => {
    const pipe = await dial();
    pipe.send(encode(KIND.open, { v: 2, keep: false }), encode(KIND.request, 'hi', 'echo/echo', 7));
    expect(Object.keys(await jsonOf(pipe, KIND.hello))).toEqual(['clientId', 'heartbeatMs']);
    await frameOf(pipe, KIND.reply);
    pipe.send(encode(KIND.open, { v: 2, keep: true }));
    await end(pipe);
    if (network === 'ws') expect(pipe.closed).toBe(1008);
  });

  it.each([
    ['a message', encode(KIND.push, 'x', 'echo/echo'), 1002],
    ['a truncated open', encode(KIND.open, '{"v":2'), 1008],
    ['an open that is no object', encode(KIND.open, '7'), 1008],
    ['a resume of nothing', encode(KIND.resume), 1008],
    ['an unknown kind', encode(99), 1002],
  ])('are not opened by %s', async (_what, frame, code) => {
    const pipe = await dial();
    pipe.send(frame);
    await end(pipe);
    if (network === 'ws') expect(pipe.closed).toBe(code);
    expect(pipe.frames).toEqual([]);
  });

  it.each([
    ['too large', u64(9)],
    ['short', Buffer.alloc(7)],
    ['above 2^53', Buffer.alloc(8, 0xff)],
  ])('are closed for an acknowledgement that is %s', async (_what, body) => {
    const pipe = await dial();
    pipe.send(encode(KIND.open, { v: 2, keep: true }));
    await frameOf(pipe, KIND.hello);
    pipe.send(encode(KIND.ack, body));
    await end(pipe);
    if (network === 'ws') expect(pipe.closed).toBe(1008);
  });

  it('are closed when they say nothing', async () => {
    const pipe = await dial();
    await end(pipe);
    if (network === 'ws') expect(pipe.closed).toBe(1008);
  });
});
