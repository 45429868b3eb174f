import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import { type DynamicModule, Module } from '@nestjs/common';
import {
  announce,
  createApp,
  GateHealthModule,
  MetricsModule,
  openOperations,
  operatorModules,
  readConfig,
} from '@nestgate-app/common';
import { GateModule } from '@nestgate/gate';

/** Where the gate listens for workers unless `NESTGATE_LINK` says otherwise. */
const DEFAULT_LINK = 'tcp://127.0.0.1:7400';

/** A gate without handlers: workers have them. */
@Module({})
class GateAppModule {
  static forRoot(options: Parameters<typeof GateModule.forRoot>[0], modules: readonly DynamicModule[]): DynamicModule {
    return {
      module: GateAppModule,
      imports: [GateModule.forRoot(options), GateHealthModule, MetricsModule.forRoot(), ...modules],
    };
  }
}

const config = readConfig(process.env, DEFAULT_LINK);
const app = await createApp(GateAppModule.forRoot(config.gate, await operatorModules(config)));
const opsPort = await openOperations(app, config.opsPort);
await app.listen(config.port ?? 3000);

const { port } = app.getHttpServer().address() as AddressInfo;
announce(`nestgate gate: clients at ws://localhost:${port}/gate, health at http://localhost:${opsPort ?? port}/health`);
