export { BinaryClient, type BinaryClientOptions, type BinaryMessage, jsonOf } from './clients/binary-client.js';
export {
  type ClosedWith,
  FakeClient,
  type FakeClientOptions,
  type ReceivedFrame,
  type ReceivedStream,
  UpgradeRefused,
} from './clients/fake-client.js';
export { type DelayedRelay, type DelayedRelayOptions, startDelayedRelay } from './network/delayed-relay.js';
export { freePort } from './processes/free-port.js';
export { NatsCluster, type NatsClusterOptions } from './processes/nats-cluster.js';
export { NatsProcess } from './processes/nats-process.js';
export { linkConformance, type LinkDriver, type TestRunner } from './conformance/link-conformance.js';
export { LinkProbe } from './conformance/link-probe.js';
export { RequestError } from './clients/request-error.js';
export { RedisProcess } from './processes/redis-process.js';
export {
  type ConformanceStorageOptions,
  ODD_NAMES,
  storageConformance,
  sessionOf,
} from './conformance/storage-conformance.js';
export { type ServerCommand, ServerProcess } from './processes/server-process.js';
export { TcpRelay } from './network/tcp-relay.js';
export { type NodeFiles, TestAuthority } from './processes/test-authority.js';
export {
  createTestCluster,
  TestCluster,
  type TestClusterOptions,
  type TestGate,
  type TestModule,
  type TestWorker,
} from './test-cluster.js';
export { LoopWatch, starvedMs } from './network/starvation.js';
export { dialTestNetwork, isNetworkDelayed, testNetworkOptions } from './network/test-network.js';
export { DEFAULT_WAIT_MS, waitUntil } from './wait-until.js';
