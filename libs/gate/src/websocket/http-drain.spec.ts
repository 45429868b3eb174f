import { execFileSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { Server, ServerResponse } from 'node:http';
import { Agent, createServer, request } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Defects } from '@nestgate/link/internal';
import fc from 'fast-check';
import { HttpDrain } from './http-drain.js';

/** How long a condition may take to come true, in milliseconds. */
const WAIT_MS = 5_000;

/** A connection, and what happens to it. */
class FakeSocket extends EventEmitter {
  destroyed = false;

  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

/** A server of which a test makes the events. */
class Stage {
  readonly server = new EventEmitter();
  readonly drain = new HttpDrain(this.server as unknown as Server, new Defects(undefined));
  readonly sockets: FakeSocket[] = [];

  connect(): FakeSocket {
    const socket = new FakeSocket();
    this.sockets.push(socket);
    this.server.emit('connection', socket);
    return socket;
  }

  /** A request that has come whole. Returns what is called when its answer has ended. */
  request(socket: FakeSocket): () => void {
    const response = new EventEmitter();
    this.server.emit('request', { socket }, response);
    return () => void response.emit('close');
  }

  release(socket: FakeSocket): void {
    this.drain.release(socket as unknown as Socket);
  }

  /** The connections that are cut at the end. */
  cut(): number[] {
    const open = this.sockets.filter(({ destroyed }) => !destroyed);
    this.drain.close();
    return open.filter(({ destroyed }) => destroyed).map(socket => this.sockets.indexOf(socket));
  }
}

type Step = readonly [what: 'connect' | 'upgrade' | 'end' | 'ask' | 'answer', which: number];

const step: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom('connect', 'connect', 'upgrade', 'end', 'ask', 'answer'),
  fc.nat(1_000),
);

describe('connections without a whole request', () => {
  it('are cut at the end, and no others, in whatever order they came and went', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), steps => {
        const stage = new Stage();
        const waiting = new Set<FakeSocket>();
        const asking = new Map<FakeSocket, () => void>();
        for (const [what, which] of steps) {
          const all = what === 'answer' ? [...asking.keys()] : [...waiting];
          const socket = all[which % Math.max(1, all.length)];
          if (what === 'connect') {
            waiting.add(stage.connect());
          } else if (socket) {
            waiting.delete(socket);
            if (what === 'upgrade') stage.release(socket);
            else if (what === 'end') socket.destroy();
            else if (what === 'ask') asking.set(socket, stage.request(socket));
            else {
              asking.get(socket)?.();
              asking.delete(socket);
              waiting.add(socket);
            }
          }
        }
        const expected = stage.sockets.flatMap((socket, i) => (waiting.has(socket) ? [i] : []));
        expect(stage.cut()).toEqual(expected);
      }),
    );
  });

  it('are those of which all requests are answered, each once', () => {
    const stage = new Stage();
    const [done, half] = [stage.connect(), stage.connect()];
    const [first, second] = [stage.request(done), stage.request(done)];
    const [third] = [stage.request(half), stage.request(half)];
    for (const answer of [first, second, third]) answer();
    stage.connect().destroy();
    expect(stage.cut()).toEqual([0]);
  });

  it('are none of the upgraded ones, also when an answer ends behind the upgrade', () => {
    const stage = new Stage();
    const socket = stage.connect();
    const answer = stage.request(socket);
    stage.release(socket);
    answer();
    expect(socket.listenerCount('close')).toBe(0);
    expect(stage.cut()).toEqual([]);
  });

  it('can be known to two of one server', () => {
    const stage = new Stage();
    const first = stage.drain;
    const second = new HttpDrain(stage.server as unknown as Server, new Defects(undefined));
    const [upgraded, waiting] = [stage.connect(), stage.connect()];
    for (const drain of [second, first]) drain.release(upgraded as unknown as Socket);
    expect([first.size, second.size]).toEqual([1, 1]);
    waiting.destroy();
    expect([first.size, second.size]).toEqual([0, 0]);
  });

  it('are not those that ended before their answer did', () => {
    const stage = new Stage();
    const socket = stage.connect();
    const answer = stage.request(socket);
    socket.destroy();
    answer();
    expect(stage.cut()).toEqual([]);
  });
});

describe('connections of a TLS server', () => {
  let dir: string;
  let cert: Buffer;
  let server: ReturnType<typeof createServer>;
  let drain: HttpDrain;
  let port: number;
  let answers: ServerResponse[];
  const ends: (() => void)[] = [];

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'nestgate-drain-'));
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', join(dir, 'key')];
    const subject = ['-subj', '/CN=gate', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '30'];
    execFileSync('openssl', ['req', '-x509', ...key, ...subject, '-out', join(dir, 'crt')], { stdio: 'ignore' });
    cert = readFileSync(join(dir, 'crt'));
  });
  afterAll(() => rmSync(dir, { recursive: true }));
  beforeEach(async () => {
    answers = [];
    server = createServer({ cert, key: readFileSync(join(dir, 'key')) }, (_request, response) => {
      answers.push(response);
    });
    drain = new HttpDrain(server, new Defects(undefined));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
  });
  afterEach(async () => {
    for (const end of ends.splice(0)) end();
    server.closeAllConnections();
    await new Promise(resolve => server.close(resolve));
  });

  async function until(isTrue: () => boolean): Promise<void> {
    for (const end = Date.now() + WAIT_MS; !isTrue(); await turn()) {
      if (Date.now() > end) throw new Error(`Waited in vain for ${isTrue.toString()}`);
    }
  }

  /** A request on a connection of its own, and what it is answered with; `undefined` when it is cut. */
  function ask(): Promise<number | undefined> {
    const asked = request({ port, host: '127.0.0.1', ca: cert, agent: new Agent() });
    return new Promise(resolve => {
      asked.on('response', response => {
        response.resume();
        resolve(response.statusCode);
      });
      asked.on('error', () => resolve(undefined));
      asked.end();
    });
  }

  it('are forgotten when they end, whether they asked or not', async () => {
    for (let i = 1; i <= 3; i++) {
      const status = ask();
      await until(() => answers.length === i);
      answers[i - 1]?.end();
      expect(await status).toBe(200);
    }
    const silent = connect(port, '127.0.0.1');
    await until(() => drain.size > 0);
    silent.destroy();
    await until(() => drain.size === 0);
  });

  it('are cut while they shake hands and while they wait, and not while they have asked', async () => {
    const silent = connect(port, '127.0.0.1');
    const idle = connectTls({ port, host: '127.0.0.1', ca: cert });
    ends.push(
      () => silent.destroy(),
      () => idle.destroy(),
    );
    const cut = [silent, idle].map(
      socket => new Promise(resolve => socket.on('error', () => undefined).on('close', resolve)),
    );
    await once(idle, 'secureConnect');
    const status = ask();
    await until(() => answers.length === 1 && drain.size === 2);
    drain.close();
    silent.resume();
    idle.resume();
    await Promise.all(cut);
    answers[0]?.end();
    expect(await status).toBe(200);
  });
});
