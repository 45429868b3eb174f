import { EventEmitter } from 'node:events';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { HttpDrain } from './http-drain.js';

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
  readonly drain = new HttpDrain(this.server as unknown as Server);
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

  it('are listed once, however many answers end', () => {
    const stage = new Stage();
    const socket = stage.connect();
    const answers = [stage.request(socket), stage.request(socket)];
    for (const answer of answers) answer();
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

  it('are not those that ended before their answer did', () => {
    const stage = new Stage();
    const socket = stage.connect();
    const answer = stage.request(socket);
    socket.destroy();
    answer();
    expect(stage.cut()).toEqual([]);
  });
});
