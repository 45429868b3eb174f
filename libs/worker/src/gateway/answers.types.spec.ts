import { describe, expect, it } from '@jest/globals';
import type { Missing } from './options.js';
import type {
  Answer,
  Confirm,
  Delivery,
  NoOptions,
  PushOutcome,
  QueryOptions,
  Receipt,
  SendOptions,
  SingleOutcome,
} from './options.js';
import type { GatewayApi } from './gateway-api.js';
import type { RevokeOptions } from './gateway-auth.js';

/** Checked by the compiler (`tsc -p tsconfig.test.json`): each line of `check` compiles only when the types are exactly these. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_same: Same<A, B>): void => undefined;

type Both = { readonly delivered: number; readonly received: number };
type Allowed<T> = { readonly result: T } & Missing;
interface Profile {
  name: string;
}

describe('what a call resolves with', () => {
  it('follows from the type of its options', () => {
    same<Answer<number, NoOptions>, number>(true);
    same<Answer<number, { deadlineMs: number }>, number>(true);
    same<Answer<number, { partial: 'reject' }>, number>(true);
    same<Answer<number, { partial: 'allow' }>, Allowed<number>>(true);
    same<PushOutcome<NoOptions>, void>(true);
    same<PushOutcome<{ exclude: string }>, void>(true);
    same<PushOutcome<{ confirm: false }>, void>(true);
    same<PushOutcome<Confirm & { partial: 'reject' }>, { readonly delivered: number }>(true);
    same<PushOutcome<{ confirm: true; partial: 'allow' }>, { readonly delivered: number } & Missing>(true);
    same<PushOutcome<{ confirm: 'received' }>, Both>(true);
    same<PushOutcome<{ confirm: 'received'; partial: 'allow' }>, Both & Missing>(true);
    same<SingleOutcome<{ confirm: 'received' }>, Both>(true);
    same<SingleOutcome<{ confirm: true }>, boolean>(true);
    same<SingleOutcome<{ confirm: true; partial: 'allow' }>, Allowed<boolean>>(true);
    expect(same).toBeInstanceOf(Function);
  });

  it('is either of two, where a variable leaves open what the options say', () => {
    same<Answer<number, QueryOptions>, number | Allowed<number>>(true);
    same<Answer<string, { partial?: 'allow' }>, string | Allowed<string>>(true);
    same<Answer<string, { partial: 'allow' | 'reject' }>, string | Allowed<string>>(true);
    same<Answer<number, NoOptions | { partial: 'allow' }>, number | Allowed<number>>(true);
    same<PushOutcome<{ confirm: boolean }>, void | { readonly delivered: number }>(true);
    same<PushOutcome<SendOptions>, void | Delivery | (Delivery & Missing) | Receipt | (Receipt & Missing)>(true);
    same<SingleOutcome<{ confirm?: true }>, void | boolean>(true);
    expect(same).toBeInstanceOf(Function);
  });

  it('is so in calls', () => {
    const check = async (gateway: GatewayApi, options: QueryOptions, maybe?: QueryOptions): Promise<void> => {
      const count = await gateway.getAllClientCount(options);
      // @ts-expect-error it may be { result, missing }
      count.toFixed();
      if (typeof count === 'object') same<readonly string[], typeof count.missing>(true);
      const online = await gateway.isUidOnline('ada', maybe);
      // @ts-expect-error it may be { result, missing }, which is always true
      same<typeof online, boolean>(true);
      const revoking: RevokeOptions = { partial: 'allow' };
      const closed = await gateway.revoke('ada', revoking);
      // @ts-expect-error it may be { result, missing }
      closed.toFixed();
      const literal = { partial: 'allow', deadlineMs: 5 } as const;
      same<number, Awaited<ReturnType<typeof gateway.getAllUidCount<typeof literal>>>['result']>(true);
      (await gateway.getAllUidCount()).toFixed();
      (await gateway.getAllUidCount(undefined)).toFixed();
      (await gateway.getAllUidCount({})).toFixed();
      const session = await gateway.getSession<Profile>('id');
      same<typeof session, Profile | null>(true);
    };
    expect(check).toBeInstanceOf(Function);
  });
});
