import {
  ConfigurableModuleBuilder,
  type DynamicModule,
  Module,
  type ModuleMetadata,
  type Provider,
} from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { NODE_OPTIONS, nodeExports, nodeProviders } from '@nestgate/worker';
import { ClientLifecycle } from './connection/client-lifecycle.js';
import { HandshakePipeline } from './connection/handshake-pipeline.js';
import { WsAcceptor } from './connection/ws-acceptor.js';
import { Delegater } from './delegater.js';
import { GateCounters } from './gate-counters.js';
import { type GateOptions, resolveGateOptions } from './gate-options.js';
import { GATE_OPTIONS, RESOLVED_GATE_OPTIONS } from './gate.tokens.js';
import { Gate } from './gate.js';
import { HandshakeHandler, OpenHandshakeHandler } from './hooks/handshake-handler.js';
import { SessionLearner, SilentSessionLearner } from './hooks/session-learner.js';
import { Hub } from './hub/hub.js';
import { TopicRouter } from './routing/topic-router.js';
import { WorkerDirectory } from './routing/worker-directory.js';

/** Extras that stand beside the options of `GateModule.forRoot`. */
export interface GateModuleExtras {
  /** Whether the exported providers are there in every module of the app. @defaultValue true */
  readonly isGlobal?: boolean;
  /** Providers that replace parts of the gate, such as `{ provide: HandshakeHandler, useClass: MyHandshake }`. */
  readonly providers?: readonly Provider[];
  /** Modules whose exports those providers need. */
  readonly imports?: NonNullable<ModuleMetadata['imports']>;
}

const PROVIDERS: readonly Provider[] = [
  { provide: RESOLVED_GATE_OPTIONS, useFactory: resolveGateOptions, inject: [GATE_OPTIONS] },
  { provide: NODE_OPTIONS, useExisting: RESOLVED_GATE_OPTIONS },
  { provide: HandshakeHandler, useClass: OpenHandshakeHandler },
  { provide: SessionLearner, useClass: SilentSessionLearner },
  ClientLifecycle,
  Delegater,
  Gate,
  GateCounters,
  HandshakePipeline,
  Hub,
  TopicRouter,
  WorkerDirectory,
  WsAcceptor,
];

const { ConfigurableModuleClass } = new ConfigurableModuleBuilder<GateOptions>({ optionsInjectionToken: GATE_OPTIONS })
  .setClassMethodName('forRoot')
  .setExtras<GateModuleExtras>(
    { isGlobal: true, providers: [], imports: [] },
    (definition, { isGlobal, providers, imports }): DynamicModule => ({
      ...definition,
      global: isGlobal ?? true,
      imports: [...(definition.imports ?? []), ...(imports ?? []), DiscoveryModule],
      providers: [...(definition.providers ?? []), ...nodeProviders('gate'), ...PROVIDERS, ...(providers ?? [])],
      exports: [...(nodeExports('gate') as NonNullable<DynamicModule['exports']>), Delegater, Gate, GateCounters],
    }),
  )
  .build();

/**
 * Holds clients: accepts them, keeps their sessions, uid bindings and groups, and routes their frames to the handlers of
 * this app or of workers. Exports `Gate`, `Delegater`, `GatewayApi` and `GateTransport`.
 */
@Module({})
export class GateModule extends ConfigurableModuleClass {}
