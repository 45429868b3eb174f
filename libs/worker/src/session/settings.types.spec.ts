import { describe, expect, it } from '@jest/globals';
import type { JsonValue, Settings } from '@nestgate/link';
import type { GatewayApi } from '../gateway/gateway-api.js';
import type { Session } from './session.js';

/** Checked by the compiler (`tsc -p tsconfig.test.json`): what follows `@ts-expect-error` must not compile, all else must. */
interface Address {
  readonly city: string;
  zip?: string;
}

interface Profile {
  name: string;
  nick?: string;
  age?: number | null;
  readonly address: Address;
  addresses?: readonly Address[];
  tags: string[];
  pair: [string, number];
  seen: Date;
}

enum Role {
  user = 'user',
  staff = 'staff',
}

class Dto {
  role = Role.user;
  constructor(readonly id: number) {}
}

class WithMethod {
  name = 'ada';
  greet(): string {
    return this.name;
  }
}

declare const profile: Profile;
declare const optional: Profile | undefined;
declare const json: JsonValue;
declare const settings: Settings;
// oxlint-disable-next-line typescript/no-explicit-any
declare const free: any;

describe('settings of a session', () => {
  it('may be of interfaces, with optional properties, and whatever JSON can carry', () => {
    const check = async (session: Session, gateway: GatewayApi): Promise<void> => {
      for (const value of [1, 'text', true, null]) await session.toSet('k', value);
      await session.toSet('k', profile);
      await session.toSet('k', [profile]);
      await session.toSet('k', { profile, list: [profile, profile] as const });
      await session.toSet('k', new Dto(1));
      await session.toSet('k', Role.staff);
      await session.toSet('k', new Date());
      await session.toSet('k', json);
      await session.toSet('k', settings);
      await session.toSet('k', free);
      await session.toSet('k', []);
      await session.toSet('k', {});
      session.set('k', profile);
      session.setSettings(profile);
      session.importSettings(profile);
      await session.toSetBatch(profile);
      await session.toSetBatch(settings);
      await session.toSetBatch({ nick: profile.nick, n: 1 });
      await gateway.setSession('id', profile);
      await gateway.setSession('id', settings);
      await gateway.setSession('id', {});
      await gateway.updateSession('id', { profile }, { deep: true });
      const got: Profile | undefined = session.get<Profile>('k');
      const list: readonly Address[] | undefined = session.get<Address[]>('k');
      const text: string | undefined = session.get('k');
      const all: Record<string, JsonValue> = session.cloneSettings();
      for (const [key, value] of session.settings()) await session.toSet(key, value);
      await gateway.setSession('id', all);
      expect([got, list, text]).toBeDefined();
    };
    expect(check).toBeInstanceOf(Function);
  });

  it('may be in code that is generic over JSON', () => {
    const check = async <V extends JsonValue, S extends Settings>(
      session: Session,
      value: V,
      some: S,
    ): Promise<void> => {
      await session.toSet('k', value);
      await session.toSetBatch(some);
    };
    expect(check).toBeInstanceOf(Function);
  });

  it('may not be what JSON cannot carry', () => {
    const check = async (session: Session, gateway: GatewayApi): Promise<void> => {
      // @ts-expect-error nothing at all
      await session.toSet('k', undefined);
      // @ts-expect-error perhaps nothing at all
      await session.toSet('k', optional);
      // @ts-expect-error a function
      await session.toSet('k', () => 1);
      // @ts-expect-error a function in it
      await session.toSet('k', { on: () => 1 });
      // @ts-expect-error a BigInt
      await session.toSet('k', 1n);
      // @ts-expect-error a BigInt deep in it
      await session.toSet('k', { list: [{ at: 1n }] });
      // @ts-expect-error a symbol
      await session.toSet('k', { id: Symbol('s') });
      // @ts-expect-error a Map
      await session.toSet('k', new Map([['a', 1]]));
      // @ts-expect-error a Set in it
      await session.toSet('k', { roles: new Set(['a']) });
      // @ts-expect-error a promise that was not awaited
      await session.toSet('k', Promise.resolve(profile));
      // @ts-expect-error its methods would be lost
      await session.toSet('k', new WithMethod());
      // @ts-expect-error anything may be in it
      await session.toSet('k', { details: json as unknown });
      // @ts-expect-error an array has no keys
      await gateway.setSession('id', [profile]);
      // @ts-expect-error a text has no keys
      await gateway.setSession('id', 'text');
      // @ts-expect-error a Map
      await gateway.updateSession('id', new Map([['a', 1]]));
      // @ts-expect-error a promise that was not awaited
      await gateway.setSession('id', Promise.resolve(profile));
      // @ts-expect-error a BigInt in it
      await session.toSetBatch({ balance: 1n });
      // @ts-expect-error a function in it
      session.setSettings({ on: () => 1 });
      // @ts-expect-error nothing at all
      session.set('k', undefined);
    };
    expect(check).toBeInstanceOf(Function);
  });
});
