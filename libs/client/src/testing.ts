export { FakeEnvironment } from './testing/fake-environment.js';
export { MockGate, type MockGateOptions, type MockHandler } from './testing/mock-gate.js';
export { type MockFrame, MockSocket } from './testing/mock-socket.js';
