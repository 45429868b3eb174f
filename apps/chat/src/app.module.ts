import { type DynamicModule, Module } from '@nestjs/common';
import { HandlersModule } from '@nestgate-app/handlers';
import { GateModule, type GateModuleExtras, type GateOptions } from '@nestgate/gate';
import { HealthController } from './health.controller.js';

/** Gate and handlers in one process. */
@Module({})
export class AppModule {
  static forRoot(gate: GateOptions & GateModuleExtras): DynamicModule {
    return {
      module: AppModule,
      imports: [GateModule.forRoot(gate), HandlersModule],
      controllers: [HealthController],
    };
  }
}
