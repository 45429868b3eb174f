import { afterEach, describe, expect, it } from '@jest/globals';
import { GateError } from '@nestgate/protocol';
import { nothing } from '../wire/codec.js';
import { Pending, RequestPool } from './pending.js';
import { RequestTable } from './request-table.js';

const OPERATION = 7;
const LOST = new GateError('NODE_LOST');

class Asked extends Pending<void> {
  readonly ends: string[] = [];

  override get result() {
    return nothing;
  }

  override succeed(): void {
    this.ends.push('ok');
  }

  override fail({ code }: GateError): void {
    this.ends.push(code);
  }
}

describe('RequestTable', () => {
  const defects: unknown[] = [];
  let pool = new RequestPool(error => defects.push(error));

  afterEach(() => {
    pool.close();
    pool = new RequestPool(error => defects.push(error));
    defects.length = 0;
  });

  function add(table: RequestTable, pending: Asked = new Asked(), deadlineMs = 60_000): Asked {
    table.add(pending, OPERATION, performance.now() + deadlineMs);
    return pending;
  }

  const keyOf = ({ series, generation, slot }: Asked) => [series, generation, slot] as const;

  it('finds a request once, by its whole key', () => {
    const table = new RequestTable(pool);
    const pending = add(table);
    const [series, generation, slot] = keyOf(pending);
    expect(table.take(series + 1, generation, slot, OPERATION)).toBeUndefined();
    expect(table.take(series, generation + 1, slot, OPERATION)).toBeUndefined();
    expect(table.take(series, generation, slot + 1, OPERATION)).toBeUndefined();
    expect(table.take(series, 0, slot, OPERATION)).toBeUndefined();
    expect(table.take(series, generation, slot, OPERATION)).toBe(pending);
    expect(table.take(series, generation, slot, OPERATION)).toBeUndefined();
    expect([table.size, pool.size]).toEqual([0, 0]);
  });

  it('gives no answer of another operation to a request, which goes on waiting', () => {
    const table = new RequestTable(pool);
    const pending = add(table);
    const key = keyOf(pending);
    expect(() => table.take(...key, OPERATION + 1)).toThrow(expect.objectContaining({ code: 'LINK_CORRUPT' }));
    expect(pending.ends).toEqual([]);
    expect(table.take(...key, OPERATION)).toBe(pending);
  });

  it('uses a slot again, and never a key: another series begins when the generations are used up', () => {
    const table = new RequestTable(pool);
    const first = keyOf(add(table));
    table.abort(LOST);
    // As after 2^32 - 3 more requests.
    (table as unknown as { generation: number }).generation = 2 ** 32 - 2;
    const keys = [first];
    for (let n = 0; n < 4; n++) {
      keys.push(keyOf(add(table)));
      table.abort(LOST);
    }
    expect(keys.map(([, generation]) => generation)).toEqual([1, 2 ** 32 - 1, 1, 2, 3]);
    expect(new Set(keys.map(([, , slot]) => slot))).toEqual(new Set([0]));
    expect(new Set(keys.map(String)).size).toBe(keys.length);
    expect(table.take(...first, OPERATION)).toBeUndefined();
  });

  it('shares no key with the table of another connection to the same node', () => {
    const before = keyOf(add(new RequestTable(pool)));
    const table = new RequestTable(pool);
    const pending = add(table);
    expect([pending.generation, pending.slot]).toEqual(before.slice(1));
    expect(table.take(...before, OPERATION)).toBeUndefined();
    expect(table.size).toBe(1);
  });

  it('shares one bound with all others, and has room again for what has ended', () => {
    const [one, other] = [new RequestTable(pool), new RequestTable(pool)];
    pool.limit = 3;
    add(one);
    add(one);
    add(other);
    const refused = new Asked();
    expect(() => add(other, refused)).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }));
    expect(refused.table).toBeUndefined();
    one.abort(LOST);
    expect([add(other).table, other.size, pool.size]).toEqual([other, 2, 2]);
  });

  it('gives back the room of a burst when it is empty', () => {
    const table = new RequestTable(pool);
    const many = Array.from({ length: 5_000 }, () => add(table));
    table.abort(LOST);
    expect((table as unknown as { slots: unknown[] }).slots).toHaveLength(0);
    expect(many.every(({ ends }) => String(ends) === 'NODE_LOST')).toBe(true);
    expect(add(table)).toMatchObject({ slot: 0, generation: 5_001 });
  });

  it('ends what is late, with one timer for all tables', async () => {
    const late = [new RequestTable(pool), new RequestTable(pool)].map(table => add(table, new Asked(), 1));
    expect(pool.wheel.size).toBe(2);
    await new Promise(resolve => setTimeout(resolve, 150));
    expect(late.map(({ ends }) => ends)).toEqual([['TIMEOUT'], ['TIMEOUT']]);
    expect(pool.size).toBe(0);
  });

  it('ends those that were sent, or sent with some batches, also where the numbers of batches begin again', () => {
    const table = new RequestTable(pool);
    const sent = [0, 5, 2 ** 32 - 2, 2 ** 32 - 1, 1, 2].map(batch => Object.assign(add(table), { batch }));
    table.abortBatches(2 ** 32 - 1, 1, LOST);
    expect(sent.map(({ ends }) => ends.length)).toEqual([0, 0, 0, 1, 1, 0]);
    table.abortSent(LOST);
    expect(sent.map(({ ends }) => ends.length)).toEqual([0, 1, 1, 1, 1, 1]);
  });

  it('looks at all once for batches that are missed one after another', () => {
    const table = new RequestTable(pool);
    let looks = 0;
    const sent = Array.from({ length: 100 }, (_, i) => {
      const asked = add(table);
      return Object.defineProperty(asked, 'batch', {
        get: () => {
          looks++;
          return i + 1;
        },
      });
    });
    for (let batch = 1; batch <= 50; batch++) table.abortBatches(batch, batch, LOST);
    expect(looks).toBeLessThan(300);
    expect(sent.filter(({ ends }) => ends.length === 1)).toEqual(sent.slice(0, 50));
  });

  it('finds what was sent after a batch was missed', () => {
    const table = new RequestTable(pool);
    const [first, unsent] = [add(table), add(table)];
    first.batch = 1;
    table.abortBatches(1, 1, LOST);
    unsent.batch = 2;
    table.abortBatches(2, 2, LOST);
    const [third, fourth] = [add(table), add(table)];
    third.batch = fourth.batch = 3;
    table.abortBatches(7, 7, LOST);
    const fifth = add(table);
    fifth.batch = 4;
    table.abortBatches(3, 4, LOST);
    expect([first, unsent, third, fourth, fifth].map(({ ends }) => ends.length)).toEqual([1, 1, 1, 1, 1]);
  });

  it('ends the others too when one throws at its end, and what that one begins waits', () => {
    const table = new RequestTable(pool);
    let next: Asked | undefined;
    class Fragile extends Asked {
      override fail(error: GateError): void {
        super.fail(error);
        next ??= add(table);
        throw new Error('a defect');
      }
    }
    const all = [add(table, new Fragile()), add(table), add(table, new Fragile())];
    table.abort(LOST);
    expect(all.map(({ ends }) => ends)).toEqual([['NODE_LOST'], ['NODE_LOST'], ['NODE_LOST']]);
    expect(defects).toEqual([new Error('a defect'), new Error('a defect')]);
    expect([next?.ends, table.size]).toEqual([[], 1]);
  });
});
