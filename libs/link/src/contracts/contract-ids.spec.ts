import { readdirSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import type { Operation } from '../wire/operation.js';

const FILES = readdirSync('libs/link/src/contracts').filter(file => file.endsWith('-contract.ts'));

describe('the operations of all contracts', () => {
  it('have ids of their own: on a link an id is all that an operation is', async () => {
    const ids = new Map<number, string>();
    for (const file of FILES) {
      const contracts = (await import(`./${file}`)) as Record<string, unknown>;
      for (const [contract, table] of Object.entries(contracts)) {
        if (!contract.endsWith('Contract')) continue;
        for (const [name, { id }] of Object.entries(table as Record<string, Operation<unknown, unknown>>)) {
          expect([id, ids.get(id) ?? `${contract}.${name}`]).toEqual([id, `${contract}.${name}`]);
          ids.set(id, `${contract}.${name}`);
        }
      }
    }
    expect(ids.size).toBeGreaterThan(40);
  });
});
