export { BinaryClient, type BinaryClientOptions, type BinaryMessage, jsonOf } from './binary-client.js';
export {
  type ClosedWith,
  FakeClient,
  type FakeClientOptions,
  type ReceivedFrame,
  UpgradeRefused,
} from './fake-client.js';
export { type DelayedRelay, type DelayedRelayOptions, startDelayedRelay } from './delayed-relay.js';
export { freePort } from './free-port.js';
export { NatsCluster, type NatsClusterOptions } from './nats-cluster.js';
export { NatsProcess } from './nats-process.js';
export { linkConformance, type LinkDriver, type TestRunner } from './link-conformance.js';
export { LinkProbe } from './link-probe.js';
export { RequestError } from './request-error.js';
export { RedisProcess } from './redis-process.js';
export { type ConformanceStorageOptions, ODD_NAMES, storageConformance, sessionOf } from './storage-conformance.js';
export { type ServerCommand, ServerProcess } from './server-process.js';
export { TcpRelay } from './tcp-relay.js';
export { type NodeFiles, TestAuthority } from './test-authority.js';
export {
  createTestCluster,
  TestCluster,
  type TestClusterOptions,
  type TestGate,
  type TestModule,
  type TestWorker,
} from './test-cluster.js';
export { LoopWatch, starvedMs } from './starvation.js';
export { dialTestNetwork, isNetworkDelayed, testNetworkOptions } from './test-network.js';
export { DEFAULT_WAIT_MS, waitUntil } from './wait-until.js';
