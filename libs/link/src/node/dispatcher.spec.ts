import { beforeEach, describe, expect, it } from '@jest/globals';
import { GateError } from '@nestgate/protocol';
import { Defects } from '../common/defects.js';
import type { IncomingCall, Peer } from '../peer/peer.js';
import { ByteReader, ByteWriter } from '../wire/bytes.js';
import { count, text } from '../wire/codec.js';
import { castOp, nodeOp, sum } from '../wire/operation.js';
import { Dispatcher } from './dispatcher.js';

const contract = {
  total: castOp(1, text, count, sum),
  ask: { ...castOp(2, text, count, sum), urgent: true },
  node: nodeOp(3, 'required', text, text),
};

/** Notes what leaves. */
class FakePeer {
  readonly left: unknown[] = [];
  /** Thrown by the next answer. */
  failure: Error | undefined;

  reply(call: IncomingCall, _operation: unknown, result: unknown): void {
    if (this.failure) throw this.failure;
    this.left.push([call.slot, result]);
  }

  fail(call: IncomingCall, { code }: GateError, urgent?: boolean): void {
    this.left.push([call.slot, code, urgent === true]);
  }
}

describe('Dispatcher', () => {
  let peer: FakePeer;
  let defects: unknown[];
  let dispatcher: Dispatcher;

  beforeEach(() => {
    peer = new FakePeer();
    defects = [];
    dispatcher = new Dispatcher(new Defects(error => defects.push(error)));
  });

  /** A request that waits for its answer, or, with the generation 0, one that does not. */
  const callOf = (operationId: number, slot = 1, generation = 1): IncomingCall => ({
    peer: peer as unknown as Peer,
    operationId,
    series: 1,
    generation,
    slot,
    deadline: 0,
  });

  const serve = (handle: (args: string) => number | Promise<number>) =>
    dispatcher.serve(contract, { total: handle, ask: handle, node: () => undefined });
  const settled = () => new Promise(resolve => setImmediate(resolve));

  it('reads the arguments of a peer, and answers with the result', () => {
    serve(word => word.length);
    const writer = new ByteWriter();
    text.write(writer, 'four');
    dispatcher.dispatch(callOf(1), new ByteReader(writer.take()));
    dispatcher.run(callOf(2, 2), 'five5');
    expect(peer.left).toEqual([
      [1, 4],
      [2, 5],
    ]);
  });

  it('answers with what a promise comes to', async () => {
    serve(async word => word.length);
    dispatcher.run(callOf(1), 'abc');
    expect(peer.left).toEqual([]);
    await settled();
    expect(peer.left).toEqual([[1, 3]]);
  });

  it('leaves the answer of an operation on a named node to its handler', async () => {
    let given: IncomingCall | undefined;
    dispatcher.serve({ node: contract.node }, { node: (_args, call) => void (given = call) });
    dispatcher.run(callOf(3, 7), 'a');
    await settled();
    expect([given?.slot, peer.left]).toEqual([7, []]);
  });

  it.each([
    ['thrown', () => fail(new GateError('FORBIDDEN'))],
    ['of a promise', async () => fail(new GateError('FORBIDDEN'))],
  ])('answers with a coded error %s, and in a hurry where the question was urgent', async (_how, handle) => {
    serve(handle);
    dispatcher.run(callOf(1, 1), 'a');
    dispatcher.run(callOf(2, 2), 'a');
    await settled();
    expect(peer.left).toEqual([
      [1, 'FORBIDDEN', false],
      [2, 'FORBIDDEN', true],
    ]);
    expect(defects).toEqual([]);
  });

  it.each([
    ['thrown', () => fail(new TypeError('a secret'))],
    ['of a promise', async () => fail(new TypeError('a secret'))],
  ])('keeps the text of any other error %s to itself, and reports it', async (_how, handle) => {
    serve(handle);
    dispatcher.run(callOf(1), 'a');
    await settled();
    expect(peer.left).toEqual([[1, 'INTERNAL', false]]);
    expect(defects).toEqual([new TypeError('a secret')]);
  });

  it('answers nothing to those who do not wait, and reports defects all the same', async () => {
    serve(() => fail(new TypeError('a defect')));
    dispatcher.run(callOf(1, 1, 0), 'a');
    serve(async () => 1);
    dispatcher.run(callOf(1, 1, 0), 'a');
    dispatcher.run(callOf(99, 1, 0), 'a');
    await settled();
    expect([peer.left, defects]).toEqual([[], [new TypeError('a defect')]]);
  });

  it('refuses an operation that nobody serves, of a newer version or a role without it', () => {
    dispatcher.run(callOf(99), 'a');
    dispatcher.dispatch(callOf(98, 2), new ByteReader(Buffer.alloc(0)));
    expect(peer.left).toEqual([
      [1, 'UNKNOWN_OPERATION', false],
      [2, 'UNKNOWN_OPERATION', false],
    ]);
  });

  it('runs the handler that was served last', () => {
    serve(() => 1);
    serve(() => 2);
    dispatcher.run(callOf(1), 'a');
    expect(peer.left).toEqual([[1, 2]]);
  });

  it('reports what is thrown when the answer of a promise is written', async () => {
    peer.failure = new Error('a defect');
    serve(async () => 1);
    dispatcher.run(callOf(1), 'a');
    await settled();
    expect(defects).toEqual([peer.failure]);
  });
});

function fail(error: Error): never {
  throw error;
}
