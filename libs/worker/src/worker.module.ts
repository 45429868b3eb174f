import { ConfigurableModuleBuilder, type DynamicModule, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import type { NodeRole } from '@nestgate/link';
import { NODE_OPTIONS, type NodeOptions } from './node/node-options.js';
import { nodeExports, nodeProviders } from './node/node.providers.js';

/** Options of `WorkerModule.forRoot`. */
export type WorkerModuleOptions = NodeOptions;
/** Options of `GatewayApiModule.forRoot`. */
export type GatewayApiModuleOptions = NodeOptions;

/** Extras that stand beside the options. */
export interface NodeModuleExtras {
  /** Whether the exported providers are there in every module of the app. @defaultValue true */
  readonly isGlobal?: boolean;
}

function extendWith(role: NodeRole) {
  return (definition: DynamicModule, { isGlobal }: NodeModuleExtras): DynamicModule => ({
    ...definition,
    global: isGlobal ?? true,
    imports: [...(definition.imports ?? []), ...(role === 'api' ? [] : [DiscoveryModule])],
    providers: [...(definition.providers ?? []), ...nodeProviders(role)],
    exports: nodeExports(role) as NonNullable<DynamicModule['exports']>,
  });
}

const workerBase = new ConfigurableModuleBuilder<WorkerModuleOptions>({ optionsInjectionToken: NODE_OPTIONS })
  .setClassMethodName('forRoot')
  .setExtras<NodeModuleExtras>({ isGlobal: true }, extendWith('worker'))
  .build();

const apiBase = new ConfigurableModuleBuilder<GatewayApiModuleOptions>({ optionsInjectionToken: NODE_OPTIONS })
  .setClassMethodName('forRoot')
  .setExtras<NodeModuleExtras>({ isGlobal: true }, extendWith('api'))
  .build();

/** An app that handles topics: `WorkerModule.forRoot({ link })`. Exports `GateTransport` and `GatewayApi`. */
@Module({})
export class WorkerModule extends workerBase.ConfigurableModuleClass {}

/** An app that only pushes and asks, such as an HTTP API: `GatewayApiModule.forRoot({ link })`. Exports `GatewayApi`. */
@Module({})
export class GatewayApiModule extends apiBase.ConfigurableModuleClass {}
