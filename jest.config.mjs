/** Sources of the libs are tested as they are; what runs in a process of its own is built first. */
const common = {
  rootDir: '.',
  testEnvironment: '<rootDir>/test/environment.mjs',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: {
    '^@nestgate/contract/(asyncapi|dto)$': '<rootDir>/libs/contract/src/$1.ts',
    '^@nestgate/gate/redis$': '<rootDir>/libs/gate/src/redis.ts',
    '^@nestgate/client/(frame|share|testing)$': '<rootDir>/libs/client/src/$1.ts',
    '^@nestgate/link/nats$': '<rootDir>/libs/link/src/nats.ts',
    '^@nestgate/([^/]+)/internal$': '<rootDir>/libs/$1/src/internal.ts',
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

/** Faults whose tests measure memory, or times of clients under load: nothing else runs beside them. */
const ALONE = ['flood', 'busy-worker', 'slow-policies', 'slow-reader', 'hoarders'];

/**
 * What clients see of a network that takes its time: order, bursts, large messages, closing. These end-to-end tests run over a delayed
 * network too, in every test run; all others do with `npm run test:network`.
 */
const OVER_A_NETWORK = [
  'chat',
  'gate-send-hook',
  'order',
  'push-order',
  'protocol',
  'protocol-close',
  'binary-mixed',
  'reliability-privacy',
  'tcp-stream',
];
/**
 * Every way in which bytes come from a client, and leave for it, with the streams of Node: what gates use for TLS, and with a version of
 * Node that is not supported by the fast path of sockets.
 */
const OVER_STREAMS = [
  'bad-input-frames',
  'bad-input-json',
  'bad-input-limits',
  'bad-input-topics',
  'fuzz-tcp',
  'fuzz-ws',
  'tcp-life',
  'tcp-stream',
  'ws-rfc',
];
/** Specs that say nothing over a relay, each with the reason. */
const NOT_OVER_A_RELAY = [
  // The delay would be that of the relay, not that of the black hole.
  'half-open',
  // Ends of connections that stay half open, and addresses: the relay has its own.
  'tcp-life',
  // The system holds for two connections what it holds for one here: more than these tests send to clients that do not read.
  'slow-policies',
  // A relay takes connections to ports that are not open yet.
  'ways-to-start',
  // Have a network of their own that takes its time.
  'slow-network',
  // What a worker has when it ends is taken from what clients have sent: over a relay some of that has not come to the gate yet.
  'worker-killed',
  'worker-hung',
];
/** Specs of the packages from outside that `npm test` does without: `NESTGATE_OUTSIDE=long` runs them too. */
const ONLY_LONG_OUTSIDE = ['tools', 'getting-started', 'neighbours'];
const isDelayed = process.env.NESTGATE_TEST_NETWORK === 'delayed';
/** @param {readonly string[]} names */
const ignoring = names => ['/node_modules/', ...names.map(name => `/${name}\\.`)];
const testPathIgnorePatterns = ignoring(isDelayed ? NOT_OVER_A_RELAY : []);

export default {
  // Ends what hangs, also on a machine that is several times slower. What has to be done in time says so itself.
  testTimeout: 180_000,
  testSequencer: '<rootDir>/test/sequencer.mjs',
  projects: [
    { ...common, displayName: 'unit', testMatch: ['<rootDir>/{libs,apps}/*/src/**/*.spec.ts'] },
    { ...common, displayName: 'e2e', testMatch: ['<rootDir>/test/e2e/**/*.e2e-spec.ts'], testPathIgnorePatterns },
    {
      ...common,
      displayName: 'network',
      testMatch: [`<rootDir>/test/e2e/*/{${OVER_A_NETWORK.join(',')}}.e2e-spec.ts`],
      setupFiles: [...common.setupFiles, '<rootDir>/test/delayed-network.mjs'],
    },
    {
      ...common,
      displayName: 'streams',
      testMatch: [`<rootDir>/test/e2e/*/{${OVER_STREAMS.join(',')}}.e2e-spec.ts`],
      setupFiles: [...common.setupFiles, '<rootDir>/test/without-fast-path.mjs'],
    },
    {
      ...common,
      displayName: 'faults',
      testMatch: ['<rootDir>/test/faults/**/*.faults-spec.ts'],
      testPathIgnorePatterns: [...testPathIgnorePatterns, ...ignoring(ALONE)],
    },
    {
      ...common,
      displayName: 'faults-alone',
      testMatch: [`<rootDir>/test/faults/{${ALONE.join(',')}}.faults-spec.ts`],
      testPathIgnorePatterns,
    },
    {
      ...common,
      displayName: 'outside',
      testMatch: ['<rootDir>/test/outside/*.outside-spec.ts'],
      // Installs and builders come first in these tests.
      testPathIgnorePatterns: ignoring(process.env.NESTGATE_OUTSIDE === 'long' ? [] : ONLY_LONG_OUTSIDE),
    },
    { ...common, displayName: 'browser', testMatch: ['<rootDir>/test/browser/**/*.browser-spec.ts'] },
  ],
};
