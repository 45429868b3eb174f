import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import ts from 'typescript';

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  lib: ['lib.es2023.d.ts'],
  types: ['node'],
  noEmit: true,
  strict: true,
  skipLibCheck: true,
};
/** What the compiler did for one topic, at most: its entry, a use in the client, and a use in a gateway. */
const MOST_INSTANTIATIONS = 300;

let folder: string;

beforeAll(() => {
  // Within the repository, so that its packages are found.
  folder = mkdtempSync(join('node_modules', '.types-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** An application with a contract of this many requests, and as many pushes. */
function application(topics: number): string {
  const all = Array.from({ length: topics }, (_, n) => n);
  const body = (n: number): string => `type<{ room: string; n${n}: number }>()`;
  return `
    import { connect } from '@nestgate/client';
    import { contract, push, request, type, type PushesOf } from '@nestgate/contract';
    import type { GatewayApi } from '@nestgate/worker';
    export const all = contract('all', {
      ${all.map(n => `ask${n}: request({ body: ${body(n)}, reply: ${body(n)} }), told${n}: push({ body: ${body(n)} }),`).join('\n')}
    });
    export async function use(api: GatewayApi<PushesOf<typeof all>>): Promise<number> {
      const gate = connect<typeof all>('wss://gate.test');
      let sum = 0;
      ${all
        .map(
          n => `sum += (await gate.request('all/ask${n}', { room: 'a', n${n}: ${n} })).n${n};
      gate.on('all/told${n}', told => (sum += told.n${n}));
      await api.sendToGroup('a', 'all/told${n}', { room: 'a', n${n}: ${n} });`,
        )
        .join('\n')}
      return sum;
    }`;
}

/** Checks an application, and returns how many types the compiler has instantiated, and in what time. */
function check(topics: number): { readonly instantiations: number; readonly ms: number } {
  const file = resolve(folder, `app-${topics}.ts`);
  writeFileSync(file, application(topics));
  const program = ts.createProgram([file], OPTIONS);
  const startedAt = performance.now();
  const faults = program.getSemanticDiagnostics(program.getSourceFile(file));
  const ms = performance.now() - startedAt;
  expect(faults.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([]);
  return { instantiations: program.getInstantiationCount(), ms };
}

it('200 topics cost a type check a bounded number of instantiations each, no matter how many there are', () => {
  const [few, some, many] = [check(1), check(50), check(100)];
  const costs = [(some.instantiations - few.instantiations) / 98, (many.instantiations - some.instantiations) / 100];
  // The time is for the reader: machines differ.
  console.log(
    `a topic: ${costs.map(Math.round).join(', ')} instantiations; 200 topics: ${Math.round(many.ms - few.ms)} ms`,
  );
  for (const cost of costs) expect(cost).toBeLessThan(MOST_INSTANTIATIONS);
});
