import type { Gathered } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { assertWait } from './arguments.js';
import type { Answer, QueryOptions } from './options.js';

/** An operation that asks all gates. */
interface Question<A, R> {
  gather(args: A, options?: QueryOptions): Promise<Gathered<R>>;
}

/** Asks all gates, and gives their merged answer its shape. */
export async function ask<A, R, T, O extends QueryOptions | undefined>(
  question: Question<A, R>,
  args: A,
  options: O | undefined,
  shape: (merged: R) => T,
): Promise<Answer<T, O>> {
  assertWait(options);
  const { result: merged, missing } = await question.gather(args, options);
  const result = shape(merged);
  if (options?.partial === 'allow') return { result, missing } as Answer<T, O>;
  if (missing.length > 0) throw new GateError('PARTIAL_RESULT', undefined, { result, missing });
  return result as Answer<T, O>;
}
