/** The house's rules: imports run one way, no circles, and between libs only through their index. */
const lib = name => `^libs/${name}/`;

/** What each lib may import of the others. */
const ALLOWED = {
  protocol: [],
  link: ['protocol'],
  worker: ['protocol', 'link'],
  gate: ['protocol', 'link', 'worker'],
};

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    ...Object.entries(ALLOWED).map(([name, allowed]) => ({
      name: `${name}-imports-one-way`,
      severity: 'error',
      from: { path: lib(name) },
      to: { path: '^(libs|apps|test)/', pathNot: [lib(name), ...allowed.map(lib)] },
    })),
    {
      name: 'only-through-the-index',
      severity: 'error',
      from: { path: '^(libs|apps)/([^/]+)/' },
      to: { path: '^libs/', pathNot: ['^libs/$2/', '^libs/[^/]+/(src|dist)/(index|redis|nats)\\.(ts|d\\.ts|js)$'] },
    },
    {
      name: 'not-its-own-index',
      comment: 'Inside a lib the defining file is imported, never the index.',
      severity: 'error',
      from: { path: '^libs/([^/]+)/src/', pathNot: '\\.spec\\.ts$' },
      to: { path: '^libs/$1/src/index\\.ts$' },
    },
    { name: 'libs-import-no-apps', severity: 'error', from: { path: '^libs/' }, to: { path: '^(apps|test|bench)/' } },
  ],
  options: {
    // The libs import each other as packages, which lead to their built declarations.
    doNotFollow: { path: 'node_modules|/dist/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.test.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['types', 'import', 'default'],
      extensions: ['.ts', '.d.ts', '.js'],
    },
  },
};
