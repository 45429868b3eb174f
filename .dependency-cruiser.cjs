/** The house's rules: imports run one way, no circles, and between libs only through their index. */
const lib = name => `^libs/${name}/`;

/** What each lib may import of the others. */
const ALLOWED = {
  protocol: [],
  client: ['protocol'],
  link: ['protocol'],
  contract: ['protocol'],
  // Of the contract, workers and gates import types of their tests only.
  worker: ['protocol', 'link', 'contract'],
  gate: ['protocol', 'link', 'worker'],
  cli: ['protocol', 'client', 'contract', 'link', 'worker'],
  admin: ['protocol', 'link', 'worker'],
};

/**
 * What each folder of a lib imports of the others in it; `.` is the folder of the lib itself, whose files are interfaces, options and the
 * entries. Folders that are not named here import any other; a folder without a slash stands for those below it too.
 */
const FOLDERS = {
  protocol: { frames: ['.', 'names'], names: ['.'], errors: ['.', 'frames'] },
  // From the bytes up. Drivers carry frames and know nothing of what is in them.
  link: {
    common: [],
    internals: [],
    sockets: ['internals'],
    wire: ['.', 'common'],
    contracts: ['.', 'common', 'wire'],
    reach: ['.', 'common'],
    peer: ['.', 'common', 'wire', 'reach'],
    // A node itself does what every node does when a session moves.
    node: ['.', 'common', 'wire', 'contracts', 'reach', 'peer'],
    metrics: ['.', 'common', 'node'],
    'drivers/memory': ['.', 'common'],
    'drivers/tcp': ['.', 'common', 'sockets'],
    'drivers/nats': ['.', 'common'],
  },
  worker: {
    internals: [],
    log: [],
    message: [],
    session: ['message', 'gateway'],
    contract: [],
    gateway: ['contract', 'log', 'message', 'session', 'node', 'topics/run'],
    presence: ['log', 'topics'],
    client: ['gateway', 'log', 'message', 'node'],
    http: ['gateway', 'internals', 'log', 'node', 'operate'],
    operate: ['gateway', 'topics'],
    webhooks: ['gateway', 'http', 'log', 'node', 'session', 'topics'],
    telemetry: [],
    metrics: ['topics'],
    topics: ['contract', 'internals', 'log', 'message', 'session', 'node', 'presence', 'telemetry'],
  },
  // Acceptors are the top: nothing but the module and the gate itself imports them, and they do not import each other.
  gate: {
    internals: [],
    connection: ['.', 'receipts'],
    codec: ['.'],
    storage: ['.'],
    hooks: ['.', 'admission', 'client'],
    admission: ['.', 'hooks', 'internals'],
    routing: ['.', 'client', 'hooks', 'hub'],
    session: ['.', 'auth', 'client', 'hub', 'storage'],
    auth: ['.', 'client', 'hub'],
    hub: ['.', 'auth', 'client', 'codec', 'hooks', 'session'],
    client: ['.', 'admission', 'auth', 'codec', 'connection', 'hooks', 'hub', 'routing', 'session'],
    receipts: ['.'],
    resume: [
      '.',
      'admission',
      'auth',
      'client',
      'codec',
      'connection',
      'hooks',
      'hub',
      'receipts',
      'routing',
      'session',
    ],
    spool: ['.', 'hub', 'resume'],
    metrics: ['.', 'hub', 'resume', 'routing', 'storage'],
    operate: ['.', 'client', 'codec', 'hooks', 'hub', 'resume', 'routing'],
    tcp: ['.', 'admission', 'client', 'codec', 'connection', 'internals', 'resume', 'routing'],
    websocket: ['.', 'admission', 'client', 'codec', 'connection', 'hooks', 'internals', 'resume', 'routing'],
  },
  admin: { page: [] },
  cli: { commands: ['.'] },
  client: {
    connection: ['.', 'receipts'],
    messages: ['.', 'connection'],
    session: ['.', 'connection'],
    share: ['.', 'connection', 'messages'],
    spec: ['.', 'share', 'testing'],
    testing: ['.', 'connection'],
  },
  testing: { network: [], processes: ['.', 'network'], clients: ['.', 'network'] },
};

const folderRules = Object.entries(FOLDERS).flatMap(([name, folders]) =>
  Object.entries(folders).map(([folder, allowed]) => ({
    name: `${name}-${folder.replace('/', '-')}-folder`,
    severity: 'error',
    from: { path: `^libs/${name}/src/${folder}/`, pathNot: '\\.spec\\.ts$' },
    to: {
      path: `^libs/${name}/src/`,
      pathNot: [folder, ...allowed].map(each => `^libs/${name}/src/${each === '.' ? '[^/]+$' : `${each}/`}`),
    },
  })),
);

module.exports = {
  forbidden: [
    ...folderRules,
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
      to: {
        path: '^libs/',
        pathNot: [
          '^libs/$2/',
          '^libs/[^/]+/(src|dist)/(index|internal|redis|nats|frame|testing|asyncapi|dto)\\.(ts|d\\.ts|js)$',
        ],
      },
    },
    {
      name: 'internal-entries-for-libs',
      comment: 'What only sibling libs need is no part of the public surface; applications do without.',
      severity: 'error',
      from: { path: '^apps/' },
      to: { path: '^libs/[^/]+/(src|dist)/internal\\.(ts|d\\.ts|js)$' },
    },
    {
      name: 'not-its-own-index',
      comment: 'Inside a lib the defining file is imported, never the index.',
      severity: 'error',
      from: { path: '^libs/([^/]+)/src/', pathNot: '\\.spec\\.ts$' },
      to: { path: '^libs/$1/src/(index|internal)\\.ts$' },
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
