/**
 * The exported surface of each lib, from its built declarations: every exported name with its declaration, without comments and private
 * members. `docs/api/<lib>.txt` holds it, so that a change shows in the diff of a commit.
 *
 * `node scripts/api-surface.mjs` fails when a file is not up to date; with `--write` it writes them.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import ts from 'typescript';

const LIBS = 'libs';
const FOLDER = join('docs', 'api');
/** What is no part of the public surface. */
const NO_ENTRIES = new Set(['./package.json', './internal']);
const printer = ts.createPrinter({ removeComments: true });

/** The public entries of a lib, each with the file of its types. */
function entriesOf(lib) {
  const { name, exports } = JSON.parse(readFileSync(join(LIBS, lib, 'package.json'), 'utf8'));
  return Object.entries(exports)
    .filter(([path]) => !NO_ENTRIES.has(path))
    .map(([path, { types }]) => ({ name: name + path.slice(1), file: resolve(LIBS, lib, types) }));
}

/** One lib: its exported names, and what their declarations refer to. */
class Surface {
  constructor(lib, program) {
    this.root = resolve(LIBS, lib) + sep;
    this.program = program;
    this.checker = program.getTypeChecker();
    this.seen = new Set();
    /** Symbols of this lib that a declaration refers to. */
    this.referred = new Map();
  }

  /** The text of an entry. */
  describe({ name, file }) {
    const source = this.program.getSourceFile(file);
    const module = source && this.checker.getSymbolAtLocation(source);
    if (!module) throw new Error(`${relative('.', file)} is missing: run npm run build`);
    const found = this.checker.getExportsOfModule(module).sort((a, b) => (a.name < b.name ? -1 : 1));
    const symbols = found.map(each => [each.name, this.target(each)]);
    for (const [, symbol] of symbols) this.seen.add(symbol);
    return [`# ${name}`, ...symbols.map(([exported, symbol]) => this.entry(exported, symbol))].join('\n\n');
  }

  /** What the declarations refer to and is not exported: it belongs to the surface all the same. */
  describeRest() {
    const parts = [];
    for (let next = this.nextReferred(); next; next = this.nextReferred()) {
      this.seen.add(next);
      parts.push([next.name, this.entry(next.name, next)]);
    }
    parts.sort(([a, x], [b, y]) => (a === b ? (x < y ? -1 : 1) : a < b ? -1 : 1));
    return parts.length === 0 ? '' : ['# Referred to, not exported', ...parts.map(([, text]) => text)].join('\n\n');
  }

  nextReferred() {
    return [...this.referred.keys()].find(symbol => !this.seen.has(symbol));
  }

  target(symbol) {
    return symbol.flags & ts.SymbolFlags.Alias ? this.checker.getAliasedSymbol(symbol) : symbol;
  }

  entry(name, symbol) {
    const declarations = symbol.declarations ?? [];
    const foreign = declarations.find(each => !each.getSourceFile().fileName.startsWith(this.root));
    if (foreign) {
      const file = relative('.', foreign.getSourceFile().fileName);
      const [, lib = file] = /(?:libs|node_modules)\/((?:@[^/]+\/)?[^/]+)/.exec(file) ?? [];
      return `${name}: of ${lib}`;
    }
    return declarations.map(each => this.print(each)).join('\n');
  }

  print(declaration) {
    const node = ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration;
    const visible = ts.transform(node, [context => root => ts.visitEachChild(root, keep, context)]).transformed[0];
    this.noteReferences(node);
    return printer.printNode(ts.EmitHint.Unspecified, visible, declaration.getSourceFile());
  }

  noteReferences(node) {
    if (keep(node) === undefined) return;
    if (ts.isIdentifier(node)) {
      const found = this.checker.getSymbolAtLocation(node);
      const symbol = found && this.target(found);
      const isType =
        symbol && symbol.flags & (ts.SymbolFlags.Class | ts.SymbolFlags.Interface | ts.SymbolFlags.TypeAlias);
      if (isType && symbol.declarations?.every(each => each.getSourceFile().fileName.startsWith(this.root))) {
        this.referred.set(symbol, true);
      }
    }
    ts.forEachChild(node, child => this.noteReferences(child));
  }
}

/** Leaves private members out, and the words `export` and `declare`. */
function keep(node) {
  const isMember = ts.isClassElement(node);
  if (isMember && ts.getCombinedModifierFlags(node) & ts.ModifierFlags.Private) return undefined;
  if (isMember && node.name && ts.isPrivateIdentifier(node.name)) return undefined;
  const isWord = node.kind === ts.SyntaxKind.ExportKeyword || node.kind === ts.SyntaxKind.DeclareKeyword;
  return isWord ? undefined : node;
}

const libs = readdirSync(LIBS, { withFileTypes: true })
  .filter(each => each.isDirectory())
  .map(({ name }) => ({ name, entries: entriesOf(name) }));
const program = ts.createProgram(
  libs.flatMap(({ entries }) => entries.map(({ file }) => file)),
  {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    skipLibCheck: true,
    types: ['node'],
  },
);
const isWriting = process.argv.includes('--write');
if (isWriting) mkdirSync(FOLDER, { recursive: true });
for (const { name, entries } of libs) {
  const surface = new Surface(name, program);
  const texts = [...entries.map(entry => surface.describe(entry)), surface.describeRest()];
  const text = `${texts.filter(each => each !== '').join('\n\n')}\n`;
  const file = join(FOLDER, `${name}.txt`);
  if (isWriting) {
    writeFileSync(file, text);
  } else if (text !== read(file)) {
    console.log(`${file} is not what libs/${name} exports: review the change and run npm run api`);
    process.exitCode = 1;
  }
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
