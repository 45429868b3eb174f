export { createApp, startHandlers } from './bootstrap.js';
export { type AppConfig, readConfig } from './config.js';
export { GateHealthController } from './gate-health.controller.js';
export { WorkerHealthController } from './worker-health.controller.js';
