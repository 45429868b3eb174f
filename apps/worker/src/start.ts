import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import { type DynamicModule, Module } from '@nestjs/common';
import { chat, HandlersModule } from '@nestgate-app/handlers';
import {
  announce,
  createApp,
  MetricsModule,
  openOperations,
  operatorModules,
  readConfig,
  startHandlers,
  WorkerHealthModule,
} from '@nestgate-app/common';
import { WorkerModule, type WorkerModuleOptions } from '@nestgate/worker';

/** The gates that the worker dials unless `NESTGATE_LINK` says otherwise. */
const DEFAULT_LINK = 'tcp://127.0.0.1:7400';

@Module({})
class WorkerAppModule {
  static forRoot(options: WorkerModuleOptions, modules: readonly DynamicModule[]): DynamicModule {
    return {
      module: WorkerAppModule,
      imports: [
        WorkerModule.forRoot({ ...options, contracts: [chat] }),
        HandlersModule,
        WorkerHealthModule,
        MetricsModule.forRoot(),
        ...modules,
      ],
    };
  }
}

const config = readConfig(process.env, DEFAULT_LINK);
const app = await createApp(WorkerAppModule.forRoot(config.node, await operatorModules(config)));
const opsPort = await openOperations(app, config.opsPort);
await startHandlers(app);
if (config.port === undefined) {
  await app.init();
} else {
  await app.listen(config.port);
}
const healthPort = opsPort ?? (app.getHttpServer().address() as AddressInfo | null)?.port;
announce(
  `nestgate worker: ${healthPort === undefined ? 'started' : `health at http://localhost:${healthPort}/health`}`,
);
