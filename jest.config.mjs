/** Sources of the libs are tested as they are; what runs in a process of its own is built first. */
const common = {
  rootDir: '.',
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: {
    '^@nestgate/gate/redis$': '<rootDir>/libs/gate/src/redis.ts',
    '^@nestgate/link/nats$': '<rootDir>/libs/link/src/nats.ts',
    '^@nestgate/([^/]+)$': '<rootDir>/libs/$1/src/index.ts',
    '^@nestgate-app/([^/]+)$': '<rootDir>/apps/$1/src/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          keepClassNames: true,
        },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
  setupFiles: ['reflect-metadata'],
};

/**
 * Scenarios whose promise the product does not keep yet. They run in the long form of the faults only, where they show what is
 * missing.
 */
const NOT_KEPT_YET = [
  'silence-gate-restart',
  'silence-worker-restart',
  'silence-nats-cluster',
  'silence-nats-outage',
  'silence-early-sender',
];
const isLong = process.env.NESTGATE_FAULTS === 'long';

export default {
  // Ends what hangs. What has to be done in time says so itself.
  testTimeout: 60_000,
  projects: [
    { ...common, displayName: 'unit', testMatch: ['<rootDir>/{libs,apps}/*/src/**/*.spec.ts'] },
    { ...common, displayName: 'e2e', testMatch: ['<rootDir>/test/e2e/**/*.e2e-spec.ts'] },
    {
      ...common,
      displayName: 'faults',
      testMatch: ['<rootDir>/test/faults/**/*.faults-spec.ts'],
      testPathIgnorePatterns: ['/node_modules/', ...(isLong ? [] : NOT_KEPT_YET)],
    },
    { ...common, displayName: 'browser', testMatch: ['<rootDir>/test/browser/**/*.browser-spec.ts'] },
  ],
};
