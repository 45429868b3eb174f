import { concatMap, from, isObservable, type Observable, of, takeLast } from 'rxjs';
import type { AnySchema } from '@nestgate/protocol';
import { checkedSchema, type HandledEntry } from '../../contract/contract-handler.js';
import type { PlainCall } from '../handler/plain-handler.js';
import { type IssueDetail, issueText, validated } from '../../contract/schema-issues.js';
import { isThenable } from '../handler/thenable.js';
import { endIteration, isAsyncIterable } from '../stream/async-iterables.js';

/** Puts a check of its results around a handler. */
export type CheckResults = (call: PlainCall) => PlainCall;

/**
 * A check of what the handler of an entry returns: its reply, or each item of a stream. What does not fit its schema is an error of
 * the handler: the client gets `INTERNAL`, and the log names what is wrong. What is sent is what the handler has returned, not the output
 * of the schema, so that an app behaves the same without the check. `undefined` when there is nothing to check.
 */
export function checkedResults(entry: HandledEntry): CheckResults | undefined {
  const isStream = entry.kind === 'stream';
  const schema = checkedSchema(isStream ? entry.item : entry.reply);
  if (!schema || entry.kind === 'message') return undefined;
  const check = resultCheck(schema, `${entry.topic}: ${isStream ? 'an item' : 'the reply'}`);
  const checkAny = (result: unknown): unknown => {
    if (isThenable(result)) return Promise.resolve(result).then(checkAny);
    if (isObservable(result)) return checkEach(isStream ? result : result.pipe(takeLast(1)), check);
    if (isAsyncIterable(result)) return checkPulled(result, check);
    return isStream ? result : check(result);
  };
  return call => (payload, context) => checkAny(call(payload, context));
}

/** Returns the value itself, or a promise of it where the schema needs one. */
function resultCheck(schema: AnySchema, what: string): (value: unknown) => unknown {
  const refuse = (issues: readonly IssueDetail[]): Error =>
    new Error(`${what} does not fit the contract: ${issueText(issues)}`);
  return value => {
    const outcome = validated(schema, value, refuse);
    return outcome instanceof Promise ? outcome.then(() => value) : value;
  };
}

function checkEach(values: Observable<unknown>, check: (value: unknown) => unknown): Observable<unknown> {
  return values.pipe(
    concatMap(value => {
      const checked = check(value);
      return checked instanceof Promise ? from(checked) : of(checked);
    }),
  );
}

/** No generator: one that waits for an item hears only of the next item that nobody wants it any more. */
function checkPulled(values: AsyncIterable<unknown>, check: (value: unknown) => unknown): AsyncIterable<unknown> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = values[Symbol.asyncIterator]();
      return {
        async next() {
          const result = await iterator.next();
          if (!result.done) await check(result.value);
          return result;
        },
        return: async () => {
          endIteration(values, iterator);
          return { done: true, value: undefined };
        },
      };
    },
  };
}
