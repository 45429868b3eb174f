import { ConfigurableModuleBuilder, type DynamicModule, Module } from '@nestjs/common';
import { HttpAdapterHost, ModuleRef } from '@nestjs/core';
import { AppStart, AppStartModule } from '../node/app-start.js';
import { checkAsyncOptions, checkNoExtras, checkOptions } from '../node/module-options.js';
import { HttpApi } from './http-api.js';
import { HttpMetrics } from './http-counters.js';
import { HTTP_PATH, httpControllerAt } from './http.controller.js';
import { HttpIntake } from './http-intake.js';
import { HttpMount } from './http-mount.js';
import {
  checkHttpPath,
  DEFAULT_HTTP_PATH,
  type GatewayHttpExtras,
  type GatewayHttpOptions,
  HTTP_EXTRAS,
  resolveHttpOptions,
} from './http-options.js';
import { Idempotency } from './idempotency.js';

const NAME = 'GatewayHttpModule';
const GIVEN_OPTIONS = Symbol('nestgate:http-options');

const base = new ConfigurableModuleBuilder<GatewayHttpOptions>({ optionsInjectionToken: GIVEN_OPTIONS })
  .setClassMethodName('forRoot')
  .setExtras<GatewayHttpExtras>(
    { path: DEFAULT_HTTP_PATH, guard: undefined, imports: [] },
    (definition, { path = DEFAULT_HTTP_PATH, guard, imports }): DynamicModule => {
      checkHttpPath(path);
      return {
        ...definition,
        imports: [...(definition.imports ?? []), ...(imports ?? []), AppStartModule],
        controllers: [httpControllerAt(path, guard)],
        providers: [
          ...(definition.providers ?? []),
          { provide: HTTP_PATH, useValue: path },
          {
            provide: HttpIntake,
            useFactory: (options: GatewayHttpOptions, metrics: HttpMetrics) => {
              checkNoExtras(NAME, options, HTTP_EXTRAS);
              return new HttpIntake(resolveHttpOptions(options), guard !== undefined, metrics);
            },
            inject: [GIVEN_OPTIONS, HttpMetrics],
          },
          {
            provide: HttpMount,
            useFactory: (intake: HttpIntake, host: HttpAdapterHost, ref: ModuleRef, start: AppStart) =>
              new HttpMount(path, intake, host, ref, start),
            inject: [HttpIntake, HttpAdapterHost, ModuleRef, AppStart],
          },
          HttpApi,
          HttpMetrics,
          Idempotency,
        ],
        exports: [HttpMetrics],
      };
    },
  )
  .build();

/**
 * An HTTP API for services that are not written for Node: one route for each method of `GatewayApi`, such as
 * `POST /nestgate/v1/sendToGroup`. The app has a `GateModule`, a `WorkerModule` or a `GatewayApiModule` beside it.
 *
 * ```ts
 * GatewayHttpModule.forRoot({ keys: [{ name: 'shop', sha256: process.env.SHOP_KEY_SHA256, scopes: ['push', 'query'] }] })
 * ```
 *
 * Without `keys` and `guard` the app must listen on loopback. An option that is unknown, or cannot be, stops the start with `BAD_ARGUMENT`.
 */
@Module({})
export class GatewayHttpModule extends base.ConfigurableModuleClass {
  static override forRoot(options: typeof base.OPTIONS_TYPE = {}): DynamicModule {
    checkOptions(NAME, options);
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof base.ASYNC_OPTIONS_TYPE): DynamicModule {
    checkAsyncOptions(NAME, options, HTTP_EXTRAS);
    return super.forRootAsync(options);
  }
}
