import { type DynamicModule, Module } from '@nestjs/common';
import { chat, HandlersModule } from '@nestgate-app/handlers';
import { GateHealthModule, MetricsModule } from '@nestgate-app/common';
import { GateModule, type GateModuleExtras, type GateOptions } from '@nestgate/gate';

/** Gate and handlers in one process. */
@Module({})
export class AppModule {
  static forRoot(gate: GateOptions & GateModuleExtras, modules: readonly DynamicModule[] = []): DynamicModule {
    return {
      module: AppModule,
      imports: [
        GateModule.forRoot({ ...gate, contracts: [chat] }),
        HandlersModule,
        GateHealthModule,
        MetricsModule.forRoot(),
        ...modules,
      ],
    };
  }
}
