import { Readable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import { StreamableFile } from '@nestjs/common';
import { BodyKind } from '@nestgate/protocol';
import { of } from 'rxjs';
import { isPlainJson, jsonFault } from './json-faults.js';
import { assertSettings, encodeBody, encodeMessage } from './message.js';

class Dish {
  name = 'soup';
  tags?: unknown = undefined;
}

class Money {
  constructor(private readonly cents: number) {}

  toJSON(): string {
    return `${this.cents / 100} €`;
  }
}

class Menu {
  readonly dishes = [new Dish()];

  [Symbol.iterator](): Iterator<Dish> {
    return this.dishes[Symbol.iterator]();
  }
}

function* numbers(): Generator<number> {
  yield 1;
}

async function* later(): AsyncGenerator<number> {
  yield 1;
}

const BAD: [string, () => unknown, string][] = [
  ['a Map', () => new Map([['a', 1]]), 'a Map'],
  ['a Set', () => new Set([1]), 'a Set'],
  ['a WeakMap', () => new WeakMap(), 'an object of the kind WeakMap'],
  ['a promise', () => Promise.resolve(1), 'a promise that was not awaited'],
  // oxlint-disable-next-line unicorn/no-thenable -- what this is about
  ['a thenable', () => ({ then: () => undefined }), 'a promise that was not awaited'],
  ['an Error', () => new Error('secret'), 'an Error'],
  ['an Error with fields', () => Object.assign(new TypeError('x'), { path: '/etc/secret' }), 'an Error'],
  ['NaN', () => Number.NaN, 'NaN'],
  ['an infinity', () => -Infinity, '-Infinity'],
  ['a function', () => () => 1, 'a function'],
  ['a symbol', () => Symbol('s'), 'a symbol'],
  ['a regular expression', () => /x/, 'an object of the kind RegExp'],
  ['a generator', () => numbers(), 'a generator'],
  ['an async generator', () => later(), 'an async iterable'],
  ['an iterator', () => new Map([[1, 2]]).keys(), 'an object of the kind Map Iterator'],
  ['a stream', () => Readable.from(['x']), 'a stream'],
  ['a web stream', () => new ReadableStream(), 'a stream'],
  ['a StreamableFile', () => new StreamableFile(Buffer.from('x')), 'a StreamableFile'],
  ['an Observable', () => of(1), 'an Observable'],
  ['search parameters', () => new URLSearchParams('a=1'), 'an object of the kind URLSearchParams'],
  ['bytes', () => new Uint8Array([1]), 'bytes (Uint8Array) inside of JSON'],
  ['an ArrayBuffer', () => new ArrayBuffer(2), 'bytes (ArrayBuffer) inside of JSON'],
];

describe('what JSON cannot carry', () => {
  it.each(BAD)('%s is found wherever it is', (_name, make, what) => {
    const dish = new Dish();
    dish.tags = make();
    const fields = { [what]: 1, list: [make()] };
    for (const [value, path] of [
      [{ items: [1, 2, 3, { tags: make() }] }, 'body.items[3].tags'],
      [[null, make()], 'body[1]'],
      [dish, 'body.tags'],
      [Object.assign(Object.create(null) as object, { 'a b': make() }), 'body["a b"]'],
      [fields, 'body.list[0]'],
      [{ at: new Date(0), money: new Money(5), deep: { x: make() } }, 'body.deep.x'],
    ] as const) {
      expect([isPlainJson(value), jsonFault(value, 'body', false)]).toEqual([false, { path, what }]);
      expect(() => encodeMessage('menu/dishes', value)).toThrow(
        expect.objectContaining({
          code: 'BAD_ARGUMENT',
          message: `menu/dishes: ${path} is ${what}, which cannot be sent as JSON`,
        }),
      );
    }
  });

  it.each(BAD.filter(([name]) => !['bytes', 'an ArrayBuffer', 'a function', 'a symbol'].includes(name)))(
    '%s is found as a whole body',
    (_name, make, what) => {
      expect(() => encodeBody(make(), 'a/b')).toThrow(`a/b: body is ${what}, which`);
    },
  );

  it('is no session value', () => {
    for (const [, make, what] of BAD) {
      expect(() => assertSettings([['cart', { items: [make()] }]])).toThrow(
        `settings.cart.items[0] is ${what}, which cannot be sent as JSON`,
      );
    }
    expect(() => assertSettings([['a b', [new Map()]]])).toThrow('settings["a b"][0] is a Map');
  });

  it('is named by the end of a path that is long', () => {
    let value: unknown = { end: new Set() };
    for (let depth = 0; depth < 300; depth++) value = { next: value };
    const path = jsonFault(value, 'body', false)?.path ?? '';
    expect(path.length).toBeLessThan(220);
    expect(path).toMatch(/^….*\.next\.next\.end$/);
  });

  it('is found by both ways to look, or by none', () => {
    class Old {}
    (Old.prototype as { inherited?: unknown }).inherited = () => 1;
    const fine = [
      null,
      undefined,
      true,
      '',
      0,
      [],
      {},
      [undefined],
      { left: undefined },
      new Dish(),
      new Money(5),
      [new Money(5)],
      new Date(Number.NaN),
      { toJSON: () => 1 },
      { own: { toJSON: () => 1, other: new Map() } },
      new Menu(),
      new Old(),
      Buffer.from('x'),
      new URL('http://localhost'),
      new Number(1),
      new String('x'),
      Object.create(null),
    ];
    for (const value of fine) {
      expect(jsonFault(value, 'body', false)).toBeUndefined();
      expect(jsonFault({ value }, 'body', false)).toBeUndefined();
      expect(() => encodeBody({ value })).not.toThrow();
    }
  });

  it('is refused with a code when it throws while it is read, or nests too deep to be looked at', () => {
    let reads = 0;
    const moody = {
      get value(): number {
        if (++reads > 1) throw new Error('not again');
        return 1;
      },
    };
    expect(() => encodeBody(moody)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
  });
});

describe('what a toJSON gives', () => {
  /** Its class has the `toJSON`; or, with `own`, itself. */
  class Giving {
    constructor(private readonly give: () => unknown) {}

    toJSON(): unknown {
      return this.give();
    }
  }
  const own = (give: () => unknown): object => ({ toJSON: give });

  it.each<[string, (give: () => unknown) => object]>([
    ['of a class', give => new Giving(give)],
    ['of an object', own],
  ])('%s is named where JSON fails', (_name, make) => {
    const cycle: Record<string, unknown> = { deep: {} };
    (cycle['deep'] as Record<string, unknown>)['self'] = cycle;
    for (const [give, path, what] of [
      [() => 1n, '', 'a BigInt'],
      [() => ({ id: 1n }), '.id', 'a BigInt'],
      [() => cycle, '.deep.self', 'a part of itself'],
      [() => ({ inner: make(() => 1n) }), '.inner.toJSON()', 'a BigInt'],
    ] as const) {
      for (const [value, at] of [
        [make(give), 'body'],
        [{ items: [1, make(give)] }, 'body.items[1]'],
      ] as const) {
        expect(() => encodeMessage('menu/dishes', value)).toThrow(
          expect.objectContaining({
            code: 'BAD_ARGUMENT',
            message: `menu/dishes: ${at}.toJSON()${path} is ${what}, which cannot be sent as JSON`,
          }),
        );
      }
    }
    const angry = make(() => {
      throw new Error('not today');
    });
    expect(() => encodeBody({ dish: angry }, 'a/b')).toThrow(
      'a/b: body.dish is an object whose toJSON throws (not today), which cannot be sent as JSON',
    );
  });

  it('is asked for once where JSON succeeds, and trusted', () => {
    let calls = 0;
    const given = new Giving(() => {
      calls++;
      return { tags: new Map([['a', 1]]) };
    });
    expect(Buffer.from(encodeBody({ given }).bytes).toString()).toBe('{"given":{"tags":{}}}');
    expect(calls).toBe(1);
  });

  it('may be anything that JSON carries, undefined and the object itself too', () => {
    const itself = new Giving(() => ({ name: 'soup' }));
    class Same {
      name = 'soup';

      toJSON(): this {
        return this;
      }
    }
    const twice = { name: 'soup' };
    for (const value of [itself, new Same(), own(() => twice)]) {
      expect(Buffer.from(encodeBody({ value, twice: [twice, twice] }).bytes).toString()).toBe(
        '{"value":{"name":"soup"},"twice":[{"name":"soup"},{"name":"soup"}]}',
      );
    }
    const none = new Giving(() => undefined);
    expect(Buffer.from(encodeBody({ none, list: [none] }).bytes).toString()).toBe('{"list":[null]}');
    expect(() => encodeBody(none, 'a/b')).toThrow('a/b: body cannot be sent: its toJSON gives nothing');
  });

  it('is asked for by its key, as JSON does', () => {
    const keys: string[] = [];
    const value = { toJSON: (key: string) => (keys.push(key), 1n) };
    expect(() => encodeBody({ list: [value] })).toThrow('body.list[0].toJSON() is a BigInt');
    expect(() => encodeBody(value)).toThrow('body.toJSON() is a BigInt');
    expect(new Set(keys)).toEqual(new Set(['0', '']));
  });

  it('of a BigInt counts too', () => {
    const prototype = BigInt.prototype as { toJSON?: () => string };
    prototype.toJSON = function (this: bigint) {
      return this.toString();
    };
    try {
      expect(Buffer.from(encodeBody({ id: 7n, at: { toJSON: () => 1 } }).bytes).toString()).toBe('{"id":"7","at":1}');
    } finally {
      delete prototype.toJSON;
    }
    expect(() => encodeBody({ id: 7n })).toThrow('body.id is a BigInt');
    expect(() => encodeBody({ id: Object(7n) as unknown })).toThrow('body.id is a BigInt');
  });
});

describe('a value that is a part of itself', () => {
  it('is named by the path where it is again', () => {
    const parent: Record<string, unknown> = { name: 'a', children: [] };
    (parent['children'] as unknown[]).push({ parent });
    expect(() => encodeMessage('tree/list', parent)).toThrow(
      'tree/list: body.children[0].parent is a part of itself, which cannot be sent as JSON',
    );
  });
});

describe('a body of bytes', () => {
  it.each([
    ['a Buffer', Buffer.from([1, 2, 3])],
    ['a Uint8Array', new Uint8Array([0, 1, 2, 3]).subarray(1)],
    ['an Int8Array', new Int8Array([1, 2, 3])],
    ['a Uint8ClampedArray', new Uint8ClampedArray([1, 2, 3])],
    ['an ArrayBuffer', new Uint8Array([1, 2, 3]).buffer],
    ['a DataView', new DataView(new Uint8Array([0, 1, 2, 3, 4]).buffer, 1, 3)],
  ])('may be %s', (_name, value) => {
    const { kind, bytes } = encodeBody(value);
    expect([kind, [...bytes]]).toEqual([BodyKind.bytes, [1, 2, 3]]);
  });

  it('of wider numbers has their bytes', () => {
    expect([...encodeBody(new Uint16Array([0x0201])).bytes]).toEqual([1, 2]);
    expect(encodeBody(new Float64Array(2)).bytes.length).toBe(16);
  });
});
