import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import { type DynamicModule, Module } from '@nestjs/common';
import { HandlersModule } from '@nestgate-app/handlers';
import {
  announce,
  createApp,
  MetricsModule,
  readConfig,
  startHandlers,
  WorkerHealthModule,
} from '@nestgate-app/common';
import { WorkerModule, type WorkerModuleOptions } from '@nestgate/worker';

/** The gates that the worker dials unless `NESTGATE_LINK` says otherwise. */
const DEFAULT_LINK = 'tcp://127.0.0.1:7400';

@Module({})
class WorkerAppModule {
  static forRoot(options: WorkerModuleOptions): DynamicModule {
    return {
      module: WorkerAppModule,
      imports: [WorkerModule.forRoot(options), HandlersModule, WorkerHealthModule, MetricsModule.forRoot()],
    };
  }
}

const config = readConfig(process.env, DEFAULT_LINK);
const app = await createApp(WorkerAppModule.forRoot(config.node));
await startHandlers(app);
if (config.port === undefined) {
  await app.init();
  announce('nestgate worker: started');
} else {
  await app.listen(config.port);
  const { port } = app.getHttpServer().address() as AddressInfo;
  announce(`nestgate worker: health at http://localhost:${port}/health`);
}
