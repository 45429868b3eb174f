import { describe, expect, it } from '@jest/globals';
import type { NodeInfo } from '../../link.js';
import { TcpHandshake } from './tcp-handshake.js';

const info = (id: string): NodeInfo => ({ id, role: 'worker', epoch: 'e1', modules: ['chat'], draining: false });

/** Two sides that have said hello to each other. */
function meet(dialer: TcpHandshake, listener: TcpHandshake): void {
  listener.meet(dialer.hello());
  dialer.meet(listener.hello());
}

function pair(secrets: [string, string] = ['s', 's'], bindings: [Buffer?, Buffer?] = []): [TcpHandshake, TcpHandshake] {
  const dialer = new TcpHandshake(secrets[0], true, bindings[0]);
  const listener = new TcpHandshake(secrets[1], false, bindings[1]);
  meet(dialer, listener);
  return [dialer, listener];
}

const codeOf = (run: () => unknown): unknown => {
  try {
    run();
    return undefined;
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
};

describe('TcpHandshake', () => {
  it('tells each side who the other is', () => {
    const [dialer, listener] = pair();
    expect(listener.verify(dialer.prove(info('w1')))).toEqual(info('w1'));
    expect(dialer.verify(listener.prove(info('g1')))).toEqual(info('g1'));
  });

  it('takes no proof of another secret, and none without one', () => {
    const [dialer, listener] = pair(['s', 't']);
    expect(codeOf(() => listener.verify(dialer.prove(info('w1'))))).toBe('UNAUTHORIZED');
    expect(codeOf(() => dialer.verify(listener.prove(info('g1'))))).toBe('UNAUTHORIZED');
    const [open, closed] = pair(['', 's']);
    expect(codeOf(() => closed.verify(open.prove(info('w1'))))).toBe('UNAUTHORIZED');
  });

  it('takes no proof of another connection', () => {
    const [dialer, listener] = pair();
    const proof = dialer.prove(info('w1'));
    const again = new TcpHandshake('s', false);
    again.meet(dialer.hello());
    expect(codeOf(() => again.verify(proof))).toBe('UNAUTHORIZED');
    expect(codeOf(() => listener.verify(proof))).toBeUndefined();
  });

  it('takes no proof of its own, even for its own nonce', () => {
    const listener = new TcpHandshake('s', false);
    listener.meet(listener.hello());
    expect(codeOf(() => listener.verify(listener.prove(info('g1'))))).toBe('UNAUTHORIZED');
  });

  it('takes no proof that was made on another encrypted connection', () => {
    const [dialer, listener] = pair(['s', 's'], [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]);
    expect(codeOf(() => listener.verify(dialer.prove(info('w1'))))).toBe('UNAUTHORIZED');
    const [plain, encrypted] = pair(['s', 's'], [undefined, Buffer.alloc(32, 2)]);
    expect(codeOf(() => encrypted.verify(plain.prove(info('w1'))))).toBe('UNAUTHORIZED');
  });

  it('takes no information that was changed, and none that no node can have', () => {
    const [dialer, listener] = pair();
    const proof = dialer.prove(info('w1'));
    const changed = Buffer.from(proof.toString('latin1').replace('w1', 'w2'), 'latin1');
    expect(codeOf(() => listener.verify(changed))).toBe('UNAUTHORIZED');
    expect(codeOf(() => listener.verify(proof.subarray(0, 31)))).toBe('UNAUTHORIZED');
    expect(codeOf(() => listener.verify(Buffer.alloc(0)))).toBe('UNAUTHORIZED');
    const odd = { ...info('w1'), id: 'no.dots' };
    expect(codeOf(() => listener.verify(dialer.prove(odd)))).toBe('LINK_CORRUPT');
  });

  it('refuses another version by name, and what is no hello', () => {
    const hello = new TcpHandshake('s', true).hello();
    const other = Buffer.from(hello);
    other[0] = 9;
    expect(() => new TcpHandshake('s', false).meet(other)).toThrow('Version 2 of the link does not go with version 9');
    for (const bytes of [Buffer.alloc(0), hello.subarray(0, 32), Buffer.concat([hello, hello])]) {
      expect(codeOf(() => new TcpHandshake('s', false).meet(bytes))).toBe('LINK_CORRUPT');
    }
    const met = new TcpHandshake('s', false);
    met.meet(hello);
    expect(codeOf(() => met.meet(hello))).toBe('LINK_CORRUPT');
  });
});
