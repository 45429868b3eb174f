import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Peer, Pending } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { WorkerDirectory } from './worker-directory.js';

const MAX_KNOWN_MODULES = 10_000;

/** The parts of a node that the directory uses; its peers are what a test makes of them. */
class FakeNode {
  readonly peers = new Map<string, Peer>();
  readonly defects: unknown[] = [];
  me: Peer | undefined;
  private listener: () => void = () => undefined;

  onPeer(listener: () => void): () => void {
    this.listener = listener;
    return () => undefined;
  }

  reportDefect(error: unknown): void {
    this.defects.push(error);
  }

  /** A peer has come, or says something else of itself than before. */
  set(id: string, modules: readonly string[], { draining = false } = {}): Peer {
    const info = { id, epoch: 'e', role: 'worker', modules, draining };
    const before = this.peers.get(id);
    const request = (_operation: unknown, _args: unknown, pending: Pending): void =>
      pending.fail(new GateError('TIMEOUT'));
    const peer = before
      ? Object.assign(before, { info })
      : ({ info, request, requests: { size: 0 } } as unknown as Peer);
    this.peers.set(id, peer);
    this.listener();
    return peer;
  }

  remove(id: string): void {
    this.peers.delete(id);
    this.listener();
  }
}

describe('WorkerDirectory', () => {
  let node: FakeNode;
  let directory: WorkerDirectory;

  beforeEach(() => {
    node = new FakeNode();
    directory = new WorkerDirectory(node as never);
  });

  it('knows the peers that were there before it', () => {
    const worker = node.set('w', ['chat']);
    directory = new WorkerDirectory(node as never);
    expect([directory.workersOf('chat'), directory.isKnown('chat')]).toEqual([[worker], true]);
  });

  it('follows the modules of its workers', () => {
    const one = node.set('one', ['chat']);
    const two = node.set('two', ['chat', 'shop']);
    expect([directory.workersOf('chat'), directory.workersOf('shop')]).toEqual([[one, two], [two]]);
    node.set('two', ['shop']);
    expect([directory.workersOf('chat'), directory.workersOf('shop')]).toEqual([[one], [two]]);
    node.remove('one');
    expect(directory.workersOf('chat')).toEqual([]);
  });

  it('remembers a module whose last worker has gone, and knows none that nobody has announced', () => {
    node.set('w', ['chat']);
    node.remove('w');
    expect([directory.isKnown('chat'), directory.isKnown('shop')]).toEqual([true, false]);
  });

  it('remembers so many modules and no more, and serves those beyond all the same', () => {
    node.set(
      'w',
      Array.from({ length: MAX_KNOWN_MODULES + 1 }, (_, n) => `m${n}`),
    );
    const last = `m${MAX_KNOWN_MODULES}`;
    expect([directory.isKnown('m0'), directory.isKnown(last), directory.workersOf(last).length]).toEqual([
      true,
      false,
      1,
    ]);
  });

  it('sends nothing more to a worker that drains, but goes on serving what the gate hosts itself', () => {
    node.set('w', ['chat'], { draining: true });
    node.me = node.set('me', ['chat']);
    node.set('me', ['chat'], { draining: true });
    expect(directory.workersOf('chat')).toEqual([node.me]);
  });

  it('finds the worker with the fewest clients where nothing else differs, the first one of several', () => {
    const [one, two] = [node.set('one', ['chat']), node.set('two', ['chat'])];
    expect(directory.leastLoaded([one, two])).toBe(one);
    directory.noteMove(undefined, one);
    expect(directory.leastLoaded([one, two])).toBe(two);
    directory.noteMove(one, two);
    expect([directory.leastLoaded([one, two]), directory.clientsOf(one), directory.clientsOf(two)]).toEqual([
      one,
      0,
      1,
    ]);
    expect(directory.leastLoaded([])).toBeUndefined();
  });

  it('counts as many clients as have come and not gone', () => {
    const [one, two] = [node.set('one', ['chat']), node.set('two', ['chat'])];
    for (let n = 0; n < 3; n++) directory.noteMove(undefined, one);
    directory.noteMove(one, two);
    directory.noteMove(two, undefined);
    expect([directory.clientsOf(one), directory.clientsOf(two)]).toEqual([2, 0]);
  });

  it('forgets the clients of a worker that is lost, which begins with none when it comes back', () => {
    const before = node.set('w', ['chat']);
    directory.noteMove(undefined, before);
    node.remove('w');
    expect(directory.clientsOf(before)).toBe(0);
    const back = node.set('w', ['chat']);
    // A client leaves the worker that it had. That makes no other one more or less.
    directory.noteMove(before, back);
    expect([directory.clientsOf(before), directory.clientsOf(back)]).toEqual([0, 1]);
    directory.noteMove(before, undefined);
    expect(directory.clientsOf(back)).toBe(1);
  });

  it('calls its listeners after it has changed, all of them, until they stop', () => {
    const seen: string[] = [];
    const defect = new Error('a defect');
    const note = (name: string) => () => void seen.push(`${name} ${directory.workersOf('chat').length}`);
    const stop = directory.onChange(note('a'));
    directory.onChange(() => {
      throw defect;
    });
    directory.onChange(note('b'));
    node.set('w', ['chat']);
    stop();
    node.remove('w');
    expect([seen, node.defects]).toEqual([
      ['a 1', 'b 1', 'b 0'],
      [defect, defect],
    ]);
  });
});
