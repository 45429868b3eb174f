export { AdminModule } from './admin.module.js';
export { type AdminExtras, type AdminOptions } from './admin-options.js';
export { LoopbackGuard } from '@nestgate/worker';
