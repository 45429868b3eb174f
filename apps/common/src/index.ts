export { announce, createApp, openOperations, startHandlers } from './bootstrap.js';
export { type AppConfig, readConfig } from './config.js';
export { readJwtOptions, readJwtVerifier } from './auth/jwt-config.js';
export { JwtHandshake, TOKEN_PROTOCOL, tokenOf } from './auth/jwt-handshake.js';
export { type JwtOptions, JwtVerifier, type VerifiedToken } from './auth/jwt-verifier.js';
export { GateHealthModule, WorkerHealthModule } from './health/health.module.js';
export {
  GateDrainHealthIndicator,
  GateStartHealthIndicator,
  GateStorageHealthIndicator,
  GateLinkHealthIndicator,
  WorkerDrainHealthIndicator,
} from './health/health-indicators.js';
export { MetricsModule, type MetricsModuleOptions } from './metrics/metrics.module.js';
export { OperationsModule } from './operations/operations.module.js';
export { OperationsPort } from './operations/operations-port.js';
export { operatorModules } from './operate.js';
