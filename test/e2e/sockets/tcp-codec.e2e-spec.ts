import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Splitter, SplitFault, StreamCodec, Wire } from '@nestgate/gate';
import {
  type Body,
  BodyKind,
  type ErrorBody,
  type FrameFault,
  GATE_TOPICS,
  JsonFrameDecoder,
} from '@nestgate/protocol';
import { waitUntil } from '@nestgate/testing';
import { BinaryBench, NETWORKS } from '../support/binary-support.js';

const NEWLINE = 0x0a;
/** The codec cannot write the reply to this request. */
const UNWRITABLE_ID = 666;

/** `gate.json` in lines: an example of a codec of one's own, for `nc` and the like. */
class JsonLineWire implements Wire {
  readonly codec = 'lines';
  readonly pushesResults = false;
  private readonly decoder = new JsonFrameDecoder();

  get frame() {
    return this.decoder.frame;
  }

  decode(line: Buffer): FrameFault | undefined {
    if (line.toString() === 'crash') throw new TypeError('A defect of the codec');
    return this.decoder.decode(line);
  }

  hello(clientId: string): Buffer {
    return lineOf({ topic: GATE_TOPICS.hello, body: { clientId } });
  }

  push(topic: string, body: Body): Buffer {
    return lineOf({ topic, body: valueOf(body) });
  }

  reply(id: number, body: Body): Buffer {
    if (id === UNWRITABLE_ID) throw new TypeError('Another defect of the codec');
    return lineOf({ id, body: valueOf(body) });
  }

  error(id: number, error: ErrorBody, topic: string | undefined): Buffer {
    return lineOf(id > 0 ? { id, error } : { topic: GATE_TOPICS.error, body: { ...error, topic } });
  }

  pong(): Buffer {
    return lineOf({ topic: GATE_TOPICS.pong });
  }
}

class LineSplitter implements Splitter {
  static faults = 0;
  static pushesAfterFault = 0;
  private rest: Buffer = Buffer.alloc(0);
  private fault: SplitFault | undefined;

  constructor(
    private readonly maxSize: number,
    private readonly onMessage: (line: Buffer) => void,
  ) {}

  push(chunk: Buffer): SplitFault | undefined {
    if (this.fault) LineSplitter.pushesAfterFault++;
    this.fault = this.split(chunk);
    if (this.fault) LineSplitter.faults++;
    return this.fault;
  }

  private split(chunk: Buffer): SplitFault | undefined {
    const data = Buffer.concat([this.rest, chunk]);
    let start = 0;
    for (let end = data.indexOf(NEWLINE); end >= 0; end = data.indexOf(NEWLINE, start)) {
      if (end - start > this.maxSize) return 'too-large';
      this.onMessage(data.subarray(start, end));
      start = end + 1;
    }
    this.rest = data.subarray(start);
    return this.rest.length > this.maxSize ? 'too-large' : undefined;
  }
}

function lineOf(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

function valueOf({ kind, bytes }: Body): unknown {
  if (kind === BodyKind.none) return null;
  return kind === BodyKind.json ? JSON.parse(Buffer.from(bytes).toString()) : Buffer.from(bytes).toString('base64');
}

const lines: StreamCodec = {
  wire: new JsonLineWire(),
  createSplitter: (maxSize, onMessage) => new LineSplitter(maxSize, onMessage),
  ping: lineOf({ topic: GATE_TOPICS.ping }),
};

/** What is left of `nc`. */
class LineClient {
  private text = '';
  isClosed = false;

  constructor(readonly socket: Socket) {
    socket.setEncoding('utf8').on('data', (text: string) => (this.text += text));
    socket.on('close', () => (this.isClosed = true)).on('error', () => undefined);
  }

  get lines(): string[] {
    return this.text.split('\n').slice(0, -1);
  }

  /** The first line that holds this. */
  line(part: string): Promise<string> {
    return waitUntil(`a line with ${part}`, () => this.lines.find(line => line.includes(part)));
  }
}

describe('a codec of the application over TCP', () => {
  let bench: BinaryBench;
  const clients: LineClient[] = [];

  beforeAll(async () => {
    bench = await BinaryBench.start({ tcp: { port: 0, codec: 'lines' }, codecs: { lines }, pingInterval: 60 });
  });
  afterAll(() => bench.close());
  afterEach(() => {
    for (const { socket } of clients.splice(0)) socket.destroy();
  });

  function open(): LineClient {
    const client = new LineClient(connect({ port: bench.tcpPort, host: '127.0.0.1' }));
    clients.push(client);
    return client;
  }

  it('greets, replies, pushes, pings and tells errors', async () => {
    const client = open();
    await client.line('$gate/hello');
    client.socket.write('{"topic":"echo/echo","body":{"a":1},"id":7}\n{"topic":"chat/login","body":{"name":"ada"}}\n');
    expect(await client.line('"id":7')).toBe('{"id":7,"body":{"a":1}}');
    client.socket.write('{"topic":"echo/echo","body":"pushed"}\n{"topic":"nowhere/x","id":8}\nno json\n');
    expect(await client.line('pushed')).toBe('{"topic":"echo/echo","body":"pushed"}');
    expect(await client.line('"id":8')).toContain('NO_ROUTE');
    expect(await client.line('BAD_FRAME')).toContain('$gate/error');
    await bench.cluster.api.sendToUid('ada', 'push/bytes', Buffer.of(0, 255));
    expect(await client.line('push/bytes')).toBe('{"topic":"push/bytes","body":"AP8="}');
    client.socket.write('{"topic":"$gate/ping"}\n');
    await client.line('$gate/pong');
    await client.line('$gate/ping');
  });

  it('answers with INTERNAL when it cannot write a reply, and goes on', async () => {
    const client = open();
    await client.line('$gate/hello');
    client.socket.write(`{"topic":"echo/echo","body":1,"id":${UNWRITABLE_ID}}\n`);
    expect(await client.line(`"id":${UNWRITABLE_ID}`)).toContain('"code":"INTERNAL"');
    const [agent] = bench.gate.delegater.sessions();
    expect(agent?.unansweredCount).toBe(0);
    client.socket.write('{"topic":"echo/echo","body":2,"id":7}\n');
    expect(await client.line('"id":7')).toBe('{"id":7,"body":2}');
  });

  it('talks with clients of the other codecs', async () => {
    const client = open();
    client.socket.write(
      '{"topic":"chat/login","body":{"name":"line"}}\n{"topic":"chat/join","body":{"room":"all"},"id":1}\n',
    );
    await client.line('"id":1');
    const pack = await bench.connect('ws', { codec: 'pack' });
    pack.send('chat/say', { room: 'all', text: 'from a pack' });
    expect(await client.line('chat/said')).toContain('from a pack');
    pack.destroy();
  });

  it('takes lines in pieces, and many at once', async () => {
    const client = open();
    for (const piece of ['{"topic":"echo', '/echo","body":', '"in pieces","id":1}', '\n']) {
      await new Promise(resolve => client.socket.write(piece, resolve));
    }
    expect(await client.line('in pieces')).toBe('{"id":1,"body":"in pieces"}');
    client.socket.write(
      Array.from({ length: 200 }, (_, n) => `{"topic":"echo/echo","body":${n},"id":${n + 10}}\n`).join(''),
    );
    await client.line('"id":209');
    expect(client.lines.filter(line => line.startsWith('{"id"')).slice(1)).toEqual(
      Array.from({ length: 200 }, (_, n) => `{"id":${n + 10},"body":${n}}`),
    );
  });

  it.each([
    ['that is too long', Buffer.alloc(70_000, 'x')],
    ['on which it throws', Buffer.from('crash\n')],
  ])('closes for a line %s, and for nobody else', async (_what, bytes) => {
    const [client, neighbour] = [open(), open()];
    await Promise.all([client.line('hello'), neighbour.line('hello')]);
    client.socket.write(bytes);
    await waitUntil('the end', () => client.isClosed);
    neighbour.socket.write('{"topic":"echo/echo","body":"unharmed","id":1}\n');
    expect(await neighbour.line('"id":1')).toContain('unharmed');
  });
});

describe('a splitter that has found a fault', () => {
  it('is asked no more, also while its client has yet to read what it was sent', async () => {
    const bench = await BinaryBench.start({ tcp: { port: 0, codec: 'lines' }, codecs: { lines } });
    const client = new LineClient(connect({ port: bench.tcpPort, host: '127.0.0.1' }));
    await client.line('$gate/hello');
    client.socket.pause();
    const [agent] = bench.gate.delegater.sessions();
    const push = () =>
      bench.cluster.api.sendToAll('news/item', 'x'.repeat(60_000), undefined, undefined, { confirm: true });
    while (agent?.connection.writableLength === 0) await push();
    await push();
    const { faults } = LineSplitter;
    client.socket.write('x'.repeat(70_000));
    await waitUntil('the fault', () => LineSplitter.faults > faults);
    for (let n = 0; n < 20; n++) await new Promise(resolve => client.socket.write('{"topic":"echo/echo"}\n', resolve));
    client.socket.resume();
    await waitUntil('the end', () => client.isClosed);
    expect([LineSplitter.faults - faults, LineSplitter.pushesAfterFault]).toEqual([1, 0]);
    expect(client.lines.filter(line => line.includes('echo/echo'))).toEqual([]);
    await bench.close();
  });
});

describe('tcp.codec', () => {
  it('must name a codec that there is', async () => {
    const options = { tcp: { port: 0, codec: 'lined' }, codecs: { lines } };
    await expect(BinaryBench.start(options)).rejects.toThrow(/tcp\.codec: "lined".*pack, frame, lines/);
  });

  it('does not change what WebSocket clients speak', async () => {
    const bench = await BinaryBench.start({ tcp: { port: 0, codec: 'lines' }, codecs: { lines } });
    for (const codec of ['pack', 'frame'] as const) {
      const client = await bench.connect(NETWORKS[0] as 'ws', { codec });
      client.send('echo/echo', codec);
      expect((await client.push('echo/echo')).body.toString()).toBe(codec);
    }
    await bench.close();
  });
});
