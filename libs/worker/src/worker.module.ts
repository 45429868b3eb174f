import { ConfigurableModuleBuilder, type DynamicModule, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import type { NodeRole } from '@nestgate/link';
import { AppStartModule } from './node/app-start.js';
import { checkAsyncOptions, checkNoExtras, checkOptions } from './node/module-options.js';
import { checkNodeOptions, NODE_OPTIONS, type NodeOptions } from './node/node-options.js';
import { nodeExports, nodeProviders } from './node/node.providers.js';

/** Options of `WorkerModule.forRoot`. */
export type WorkerModuleOptions = NodeOptions;
/** Options of `GatewayApiModule.forRoot`. */
export type GatewayApiModuleOptions = NodeOptions;

/** Extras that stand beside the options. */
export interface NodeModuleExtras {
  /** Whether the exported providers are there in every module of the app. @defaultValue true */
  readonly isGlobal?: boolean | undefined;
}

const EXTRAS = ['isGlobal'];
/** The options as they were given, not yet checked. */
const GIVEN_OPTIONS = Symbol('nestgate:given-options');

function extendWith(what: string, role: NodeRole) {
  const checked = {
    provide: NODE_OPTIONS,
    useFactory: (options: NodeOptions) => {
      checkNoExtras(what, options, EXTRAS);
      return checkNodeOptions(what, options, EXTRAS);
    },
    inject: [GIVEN_OPTIONS],
  };
  return (definition: DynamicModule, { isGlobal }: NodeModuleExtras): DynamicModule => ({
    ...definition,
    global: isGlobal ?? true,
    imports: [...(definition.imports ?? []), AppStartModule, ...(role === 'api' ? [] : [DiscoveryModule])],
    providers: [...(definition.providers ?? []), checked, ...nodeProviders(role)],
    exports: nodeExports(role),
  });
}

const workerBase = new ConfigurableModuleBuilder<WorkerModuleOptions>({ optionsInjectionToken: GIVEN_OPTIONS })
  .setClassMethodName('forRoot')
  .setExtras<NodeModuleExtras>({ isGlobal: true }, extendWith('WorkerModule', 'worker'))
  .build();

const apiBase = new ConfigurableModuleBuilder<GatewayApiModuleOptions>({ optionsInjectionToken: GIVEN_OPTIONS })
  .setClassMethodName('forRoot')
  .setExtras<NodeModuleExtras>({ isGlobal: true }, extendWith('GatewayApiModule', 'api'))
  .build();

/**
 * An app that handles topics: `WorkerModule.forRoot({ link })`. Exports `GateTransport` and `GatewayApi`. An option that is unknown, or
 * cannot be, stops the start with `BAD_ARGUMENT`.
 */
@Module({})
export class WorkerModule extends workerBase.ConfigurableModuleClass {
  static override forRoot(options: typeof workerBase.OPTIONS_TYPE = {}): DynamicModule {
    checkOptions('WorkerModule', options);
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof workerBase.ASYNC_OPTIONS_TYPE): DynamicModule {
    checkAsyncOptions('WorkerModule', options, EXTRAS);
    return super.forRootAsync(options);
  }
}

/**
 * An app that only pushes and asks, such as an HTTP API: `GatewayApiModule.forRoot({ link })`. Exports `GatewayApi`. An option that is
 * unknown, or cannot be, stops the start with `BAD_ARGUMENT`.
 */
@Module({})
export class GatewayApiModule extends apiBase.ConfigurableModuleClass {
  static override forRoot(options: typeof apiBase.OPTIONS_TYPE = {}): DynamicModule {
    checkOptions('GatewayApiModule', options);
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof apiBase.ASYNC_OPTIONS_TYPE): DynamicModule {
    checkAsyncOptions('GatewayApiModule', options, EXTRAS);
    return super.forRootAsync(options);
  }
}
