import { expect } from '@jest/globals';
import fc from 'fast-check';
import { heldBytes } from '../../support/held-memory.js';

/** How long all targets together may take, in seconds. Each has its share of it. */
const SECONDS = numberOf('NESTGATE_FUZZ_SECONDS', 60);
/** Runs with the same seed are the same. A new one each time, so that each run looks somewhere else. */
const SEED = numberOf('NESTGATE_FUZZ_SEED', Date.now() % 2 ** 31);
/** Where a failure stood, as it was told: leads to its smallest example at once. */
const PATH = process.env['NESTGATE_FUZZ_PATH'];
/** How long one input may take, in milliseconds. Far more than any needs, also on a machine with other things to do. */
const INPUT_MS = 10_000;
/** How much more a process may hold after a target than before it, in bytes. */
const GROWTH_BYTES = 32 * 1024 * 1024;
/** A test with a target may take so much longer than the target, in milliseconds. */
const REST_MS = 60_000;

/** What is fuzzed. */
export interface FuzzTarget<T> {
  /** Printed with the seed, and to be given to `-t` for a replay. */
  readonly name: string;
  readonly inputs: fc.Arbitrary<T>;
  /** The part of the whole time that it gets, of 60. */
  readonly share: number;
  /** Fewer inputs than that in that time are a failure: on a slow machine too, or nothing would have been tested. */
  readonly minRuns: number;
  /** Throws for an input that is not dealt with as it should be. */
  readonly check: (input: T) => void | Promise<void>;
}

/** How long a test with targets of so many shares may take, in milliseconds. */
export function fuzzTimeout(share: number): number {
  return secondsOf(share) * 1_000 + REST_MS;
}

/**
 * Tries inputs until the target's time is over, the same ones for the same seed. Fails with the smallest input that fails,
 * and says how to have it again; fails too when memory has grown.
 */
export async function fuzz<T>({ name, inputs, share, minRuns, check }: FuzzTarget<T>): Promise<void> {
  const before = heldBytes();
  let last: Promise<void> = Promise.resolve();
  const property = fc.asyncProperty(inputs, input => (last = inTime(check, input)));
  const details = await fc.check(property, {
    seed: SEED,
    ...(PATH === undefined ? {} : { path: PATH }),
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: secondsOf(share) * 1_000,
  });
  // The time may have run out in the middle of an input.
  const end = await last.then(
    () => undefined,
    (error: unknown) => error,
  );
  process.stdout.write(`fuzz | ${name} | NESTGATE_FUZZ_SEED=${details.seed} | ${details.numRuns} inputs\n`);
  if (details.failed) {
    const replay = `NESTGATE_FUZZ_SEED=${details.seed} NESTGATE_FUZZ_PATH=${details.counterexamplePath}`;
    throw new Error(`${name}, to have it again: ${replay}\n${fc.defaultReportMessage(details)}`, {
      cause: details.errorInstance,
    });
  }
  if (end !== undefined) throw end;
  if (PATH === undefined) expect(details.numRuns).toBeGreaterThanOrEqual(minRuns);
  expect(heldBytes() - before).toBeLessThan(GROWTH_BYTES);
}

async function inTime<T>(check: FuzzTarget<T>['check'], input: T): Promise<void> {
  const since = performance.now();
  await check(input);
  const took = performance.now() - since;
  if (took > INPUT_MS) throw new Error(`An input took ${Math.round(took)} ms`);
}

function secondsOf(share: number): number {
  return (SECONDS * share) / 60;
}

function numberOf(name: string, otherwise: number): number {
  const value = Number(process.env[name] ?? otherwise);
  if (!Number.isFinite(value)) throw new Error(`${name} must be a number`);
  return value;
}

/** One change of some bytes, where `at` is a place in them or beyond. */
export interface Mutation {
  readonly kind: 'flip' | 'overwrite' | 'insert' | 'remove' | 'cut' | 'repeat';
  readonly at: number;
  readonly size: number;
  readonly piece: Buffer;
}

const CHUNKS = [
  ['00', '01', '7f', '80', 'ff', '0000', 'ffff', '00000000', '01000000', 'ffffff7f', 'ffffffff'],
  ['0000000000000080', 'ffffffffffffffff', '000000000000f87f', '000000000000f07f', 'eda080', 'c328', 'f0908080'],
]
  .flat()
  .map(hex => Buffer.from(hex, 'hex'));

const chunk = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...CHUNKS) },
  fc.uint8Array({ minLength: 1, maxLength: 8 }).map(bytes => Buffer.from(bytes)),
);

const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom<Mutation['kind']>('flip', 'overwrite', 'insert', 'remove', 'cut', 'repeat'),
  at: fc.nat(0xffff),
  size: fc.integer({ min: 1, max: 16 }),
  piece: chunk,
});

/** Up to so many changes, often none. */
export const mutations = (max = 3): fc.Arbitrary<readonly Mutation[]> => fc.array(mutation, { maxLength: max });

function mutate(bytes: Buffer, { kind, at, size, piece }: Mutation): Buffer {
  const start = at % (bytes.length + 1);
  const [head, tail] = [bytes.subarray(0, start), bytes.subarray(start)];
  switch (kind) {
    case 'flip':
      return Buffer.concat([
        head,
        Buffer.from(tail.subarray(0, 1).map(byte => byte ^ (1 << (size % 8)))),
        tail.subarray(1),
      ]);
    case 'overwrite':
      return Buffer.concat([head, piece, tail.subarray(piece.length)]);
    case 'insert':
      return Buffer.concat([head, piece, tail]);
    case 'remove':
      return Buffer.concat([head, tail.subarray(size)]);
    case 'cut':
      return Buffer.from(head);
    case 'repeat':
      return Buffer.concat([head, tail.subarray(0, size), tail]);
  }
}

export function mutateAll(bytes: Buffer, changes: readonly Mutation[]): Buffer {
  return changes.reduce(mutate, bytes);
}

/** Valid bytes with up to so many changes, often none. */
export function mutated(valid: fc.Arbitrary<Buffer>, max = 3): fc.Arbitrary<Buffer> {
  return fc.tuple(valid, mutations(max)).map(([bytes, changes]) => mutateAll(bytes, changes));
}

export const randomBytes: fc.Arbitrary<Buffer> = fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes));

/** Where to cut a stream, in thousandths of its length: nowhere, at some places, or (with `true`) behind each byte. */
export const cuts: fc.Arbitrary<readonly number[] | true> = fc.oneof(
  { weight: 4, arbitrary: fc.array(fc.nat(1_000), { maxLength: 8 }) },
  { weight: 1, arbitrary: fc.constant<true>(true) },
);

/** The pieces of a stream. Each has memory of its own, as what comes from a socket has: it may be written to. */
export function cutUp(bytes: Buffer, at: readonly number[] | true): Buffer[] {
  const places =
    at === true ? bytes.keys() : at.map(each => Math.floor((each * bytes.length) / 1_000)).sort((a, b) => a - b);
  const ends = [...places, bytes.length];
  let start = 0;
  return ends.flatMap(end => {
    const piece = Buffer.from(bytes.subarray(start, end));
    start = end;
    return piece.length > 0 ? [piece] : [];
  });
}
