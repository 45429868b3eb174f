import { ConfigurableModuleBuilder, type DynamicModule, Module } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { AppStart, AppStartModule, checkAsyncOptions, checkNoExtras, checkOptions } from '@nestgate/worker/internal';
import { adminControllersAt, CHECKED_OPTIONS } from './admin.controller.js';
import { AdminExposure } from './admin-exposure.js';
import {
  ADMIN_EXTRAS,
  type AdminExtras,
  type AdminOptions,
  checkAdminOptions,
  checkAdminPath,
} from './admin-options.js';

const NAME = 'AdminModule';
const GIVEN_OPTIONS = Symbol('nestgate:admin-options');
const DEFAULT_PATH = '/admin';

const base = new ConfigurableModuleBuilder<AdminOptions>({ optionsInjectionToken: GIVEN_OPTIONS })
  .setClassMethodName('forRoot')
  .setExtras<AdminExtras>(
    { path: DEFAULT_PATH, guard: undefined, imports: [] },
    (definition, { path = DEFAULT_PATH, guard, imports }): DynamicModule => {
      checkAdminPath(path);
      return {
        ...definition,
        imports: [...(definition.imports ?? []), ...(imports ?? []), AppStartModule],
        controllers: adminControllersAt(path, guard),
        providers: [
          ...(definition.providers ?? []),
          {
            provide: CHECKED_OPTIONS,
            useFactory: (options: AdminOptions) => {
              checkNoExtras(NAME, options, ADMIN_EXTRAS);
              return checkAdminOptions(options);
            },
            inject: [GIVEN_OPTIONS],
          },
          {
            provide: AdminExposure,
            useFactory: (host: HttpAdapterHost, start: AppStart) => new AdminExposure(guard !== undefined, host, start),
            inject: [HttpAdapterHost, AppStart],
          },
        ],
      };
    },
  )
  .build();

/**
 * The admin page of the cluster: nodes with live charts, sessions, groups and users. It asks the gates while the page is open and visible,
 * and costs nothing otherwise. The app has a `GateModule`, a `WorkerModule` or a `GatewayApiModule` beside it.
 *
 * ```ts
 * AdminModule.forRoot({ guard: OperatorGuard, actions: true })
 * ```
 *
 * Without a guard the app must listen on loopback. An option that is unknown, or cannot be, stops the start with `BAD_ARGUMENT`.
 */
@Module({})
export class AdminModule extends base.ConfigurableModuleClass {
  static override forRoot(options: typeof base.OPTIONS_TYPE = {}): DynamicModule {
    checkOptions(NAME, options);
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof base.ASYNC_OPTIONS_TYPE): DynamicModule {
    checkAsyncOptions(NAME, options, ADMIN_EXTRAS);
    return super.forRootAsync(options);
  }
}
