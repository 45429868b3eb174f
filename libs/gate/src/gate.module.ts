import {
  ConfigurableModuleBuilder,
  type DynamicModule,
  Module,
  type ModuleMetadata,
  type Provider,
} from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import {
  AppStartModule,
  BoundedLog,
  checkAsyncOptions,
  checkNoExtras,
  checkOptions,
  NODE_OPTIONS,
  nodeExports,
  nodeProviders,
} from '@nestgate/worker/internal';
import { Revocations } from './auth/revocations.js';
import { Revoker } from './auth/revoker.js';
import { SessionExpiry } from './auth/session-expiry.js';
import { Admission } from './admission/admission.js';
import { AgentCreator } from './client/agent-creator.js';
import { ClientLifecycle } from './client/client-lifecycle.js';
import { GapAnswers } from './client/gap-answers.js';
import { Codecs, type CustomCodecs } from './codec/codec.js';
import { HandshakePipeline } from './admission/handshake-pipeline.js';
import { SocketFastPath } from '@nestgate/link/internal';
import { TcpAcceptor } from './tcp/tcp-acceptor.js';
import { WsAcceptor } from './websocket/ws-acceptor.js';
import { Delegater } from './delegater.js';
import { GateCounters } from './gate-counters.js';
import type { GateOptions, ResolvedGateOptions } from './gate-options.js';
import { CUSTOM_CODECS, GATE_OPTIONS, RESOLVED_GATE_OPTIONS } from './gate.tokens.js';
import { Gate } from './gate.js';
import { doubtsAbout, resolveGateOptions } from './resolve-gate-options.js';
import { AgentLearner, SilentAgentLearner } from './hooks/agent-learner.js';
import { HandshakeHandler, OpenHandshakeHandler } from './hooks/handshake-handler.js';
import {
  ForwardingRecvPackHandler,
  OpenRouteHandler,
  OpenSendMessageHook,
  RecvPackHandler,
  RouteHandler,
  SendMessageHook,
} from './hooks/pack-hooks.js';
import { SessionLearner, SilentSessionLearner } from './hooks/session-learner.js';
import { TapRedactor, UsualTapRedactor } from './hooks/tap-redactor.js';
import { UsualWorkerChoice, WorkerChoice } from './hooks/worker-choice.js';
import { ClientAsks } from './hub/client-asks.js';

import { Hub } from './hub/hub.js';
import { Pusher } from './hub/pusher.js';
import { GateMetrics } from './metrics/gate-metrics.js';
import { MovingSessions } from './resume/move/moving-sessions.js';
import { ResumableSessions } from './resume/resumable-sessions.js';
import { ClientEvents } from './routing/client-events.js';
import { GateOperator } from './operate/gate-operator.js';
import { GateTelemetry } from './operate/gate-telemetry.js';
import { SessionTaps } from './operate/session-taps.js';
import { PackIntake } from './routing/pack-intake.js';
import { StartupWindow } from './routing/startup-window.js';
import { StreamTable } from './routing/stream-table.js';
import { TopicRouter } from './routing/topic-router.js';
import { WorkerBalance } from './routing/worker-balance.js';
import { WorkerDirectory } from './routing/worker-directory.js';
import { PushReceipts } from './receipts/push-receipts.js';
import { Standstill } from './hub/standstill.js';
import { LoginRules } from './session/login-rules.js';
import { SessionKeeper } from './session/session-keeper.js';
import { MemoryStorage } from './storage/memory-storage.js';
import { StorageHandler } from './storage/storage-handler.js';

/** Extras that stand beside the options of `GateModule.forRoot`. */
export interface GateModuleExtras {
  /** Whether the exported providers are there in every module of the app. @defaultValue true */
  readonly isGlobal?: boolean | undefined;
  /** Providers that replace parts of the gate, such as `{ provide: HandshakeHandler, useClass: MyHandshake }`. */
  readonly providers?: readonly Provider[] | undefined;
  /** Codecs of your own for TCP clients; `tcp.codec` names the one in use. */
  readonly codecs?: CustomCodecs | undefined;
  /** Modules whose exports those providers need. */
  readonly imports?: NonNullable<ModuleMetadata['imports']> | undefined;
}

const EXTRAS = ['isGlobal', 'providers', 'imports', 'codecs'];

function resolveGiven(options: GateOptions): ResolvedGateOptions {
  checkOptions('GateModule', options);
  checkNoExtras('GateModule', options, EXTRAS);
  const resolved = resolveGateOptions(options);
  const log = new BoundedLog('GateModule');
  for (const doubt of doubtsAbout(options, resolved)) log.warn(doubt);
  return resolved;
}

const PROVIDERS: readonly Provider[] = [
  { provide: RESOLVED_GATE_OPTIONS, useFactory: resolveGiven, inject: [GATE_OPTIONS] },
  { provide: NODE_OPTIONS, useExisting: RESOLVED_GATE_OPTIONS },
  { provide: HandshakeHandler, useClass: OpenHandshakeHandler },
  { provide: SessionLearner, useClass: SilentSessionLearner },
  { provide: AgentLearner, useClass: SilentAgentLearner },
  { provide: RouteHandler, useClass: OpenRouteHandler },
  { provide: SendMessageHook, useClass: OpenSendMessageHook },
  { provide: RecvPackHandler, useClass: ForwardingRecvPackHandler },
  { provide: TapRedactor, useClass: UsualTapRedactor },
  { provide: WorkerChoice, useClass: UsualWorkerChoice },
  { provide: StorageHandler, useFactory: () => new MemoryStorage() },
  Admission,
  AgentCreator,
  Codecs,
  PackIntake,
  Pusher,
  PushReceipts,
  Revocations,
  Revoker,
  SessionExpiry,
  SessionKeeper,
  SessionTaps,
  { provide: SocketFastPath, useFactory: () => new SocketFastPath() },
  TcpAcceptor,
  ClientAsks,
  ClientEvents,
  ClientLifecycle,
  Delegater,
  Gate,
  GateCounters,
  GateMetrics,
  GateOperator,
  GateTelemetry,
  HandshakePipeline,
  Hub,
  LoginRules,
  MovingSessions,
  ResumableSessions,
  Standstill,
  StartupWindow,
  GapAnswers,
  StreamTable,
  TopicRouter,
  WorkerBalance,
  WorkerDirectory,
  WsAcceptor,
];

const base = new ConfigurableModuleBuilder<GateOptions>({ optionsInjectionToken: GATE_OPTIONS })
  .setClassMethodName('forRoot')
  .setExtras<GateModuleExtras>(
    { isGlobal: true, providers: [], imports: [], codecs: {} },
    (definition, { isGlobal, providers, imports, codecs }): DynamicModule => ({
      ...definition,
      global: isGlobal ?? true,
      imports: [...(definition.imports ?? []), ...(imports ?? []), AppStartModule, DiscoveryModule],
      providers: [
        ...(definition.providers ?? []),
        ...nodeProviders('gate'),
        ...PROVIDERS,
        { provide: CUSTOM_CODECS, useValue: codecs ?? {} },
        ...(providers ?? []),
      ],
      exports: [...nodeExports('gate'), Delegater, Gate, GateCounters, GateMetrics],
    }),
  )
  .build();

/**
 * Holds clients: accepts them, keeps their sessions, uid bindings and groups, and routes their frames to the handlers of
 * this app or of workers. Exports `Gate`, `Delegater`, `GatewayApi` and `GateTransport`. An option that is unknown, or cannot be, stops
 * the start with `BAD_ARGUMENT`.
 */
@Module({})
export class GateModule extends base.ConfigurableModuleClass {
  static override forRoot(options: typeof base.OPTIONS_TYPE = {}): DynamicModule {
    checkOptions('GateModule', options);
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof base.ASYNC_OPTIONS_TYPE): DynamicModule {
    checkAsyncOptions('GateModule', options, EXTRAS);
    return super.forRootAsync(options);
  }
}
