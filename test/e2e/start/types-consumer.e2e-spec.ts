import { readdirSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';

/** Apps that use everything which is public, as a strict project would. */
const FIXTURES = 'test/fixtures/types-consumer';
/** Whose declarations are checked, as with `skipLibCheck: false`. What others declare is theirs. */
const OURS = /^(libs\/[a-z]+\/dist\/|test\/fixtures\/)/;

const { ModuleKind, ModuleResolutionKind } = ts;
const RESOLUTIONS: readonly [name: string, options: ts.CompilerOptions][] = [
  ['node16', { module: ModuleKind.Node16, moduleResolution: ModuleResolutionKind.Node16 }],
  ['nodenext', { module: ModuleKind.NodeNext, moduleResolution: ModuleResolutionKind.NodeNext }],
  ['bundler', { module: ModuleKind.ESNext, moduleResolution: ModuleResolutionKind.Bundler }],
];
const STRICT: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2023.d.ts'],
  types: ['node'],
  noEmit: true,
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noImplicitOverride: true,
  noPropertyAccessFromIndexSignature: true,
  isolatedModules: true,
  skipLibCheck: false,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
};

/** What the compiler says of these sources, and of all declarations of ours that they reach. */
function faultsOf(program: ts.Program): string[] {
  const faults: string[] = program.getOptionsDiagnostics().map(textOf);
  for (const file of program.getSourceFiles()) {
    if (!OURS.test(relative('.', file.fileName))) continue;
    for (const fault of [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]) {
      const { line } = file.getLineAndCharacterOfPosition(fault.start ?? 0);
      faults.push(`${relative('.', file.fileName)}:${line + 1} TS${fault.code} ${textOf(fault)}`);
    }
  }
  return faults;
}

function textOf({ messageText }: ts.Diagnostic): string {
  return ts.flattenDiagnosticMessageText(messageText, '\n');
}

describe('the types of the packages, for a strict project', () => {
  const fixtures = readdirSync(FIXTURES).map(name => resolve(FIXTURES, name));

  it.each(RESOLUTIONS)('compile with moduleResolution %s', (_name, resolution) => {
    const program = ts.createProgram(fixtures, { ...STRICT, ...resolution });
    expect(faultsOf(program)).toEqual([]);
    // All packages have been looked at, by their built declarations.
    const seen = program.getSourceFiles().map(({ fileName }) => relative('.', fileName));
    for (const name of ['client', 'contract', 'gate', 'link', 'protocol', 'testing', 'worker']) {
      expect(seen).toContain(`libs/${name}/dist/index.d.ts`);
    }
    const entries = [
      'gate/dist/redis',
      'link/dist/nats',
      'client/dist/frame',
      'client/dist/share',
      'client/dist/testing',
      'contract/dist/asyncapi',
      'contract/dist/dto',
    ];
    expect(seen).toEqual(expect.arrayContaining(entries.map(entry => `libs/${entry}.d.ts`)));
    expect(seen.filter(file => /^libs\/[a-z]+\/src\//.test(file))).toEqual([]);
  });
});
