import type { DynamicModule } from '@nestjs/common';
import type { AppConfig } from './config.js';

/**
 * What operators use of an app: the HTTP API at `/nestgate/v1` when it has keys, and the admin page at `/admin`. Loaded only where
 * wanted: what a process has loaded counts in the memory that V8 takes for each of its connections.
 */
export async function operatorModules({
  httpKeys,
  admin,
}: Pick<AppConfig, 'httpKeys' | 'admin'>): Promise<DynamicModule[]> {
  const modules: DynamicModule[] = [];
  if (httpKeys.length > 0) {
    const { GatewayHttpModule } = await import('@nestgate/worker');
    modules.push(GatewayHttpModule.forRoot({ keys: httpKeys }));
  }
  if (admin) {
    const { AdminModule, LoopbackGuard } = await import('@nestgate/admin');
    modules.push(AdminModule.forRoot({ guard: LoopbackGuard, actions: true }));
  }
  return modules;
}
