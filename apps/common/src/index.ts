export { announce, createApp, startHandlers } from './bootstrap.js';
export { type AppConfig, readConfig } from './config.js';
export { readJwtOptions, readJwtVerifier } from './jwt-config.js';
export { JwtHandshake, TOKEN_PROTOCOL, tokenOf } from './jwt-handshake.js';
export { type JwtOptions, JwtVerifier, type VerifiedToken } from './jwt-verifier.js';
export { GateHealthModule, WorkerHealthModule } from './health.module.js';
export {
  GateDrainHealthIndicator,
  GateStartHealthIndicator,
  GateStorageHealthIndicator,
  GateLinkHealthIndicator,
  WorkerDrainHealthIndicator,
} from './health-indicators.js';
export { MetricsModule, type MetricsModuleOptions } from './metrics.module.js';
