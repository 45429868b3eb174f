import { ConfigurableModuleBuilder, type DynamicModule, Module } from '@nestjs/common';
import { GatewayApi } from '../gateway/gateway-api.js';
import { checkAsyncOptions, checkNoExtras, checkOptions } from '../node/module-options.js';
import { WebhookMetrics } from './webhook-counters.js';
import {
  assertSubjects,
  resolveSubjects,
  resolveWebhooks,
  subjectsOf,
  type WebhookExtras,
  type WebhookModuleOptions,
} from './webhook-options.js';
import { webhookController } from './webhook.controller.js';
import { Webhooks } from './webhooks.js';

const NAME = 'WebhookModule';
const GIVEN_OPTIONS = Symbol('nestgate:webhook-options');
const EXTRAS = ['events', 'topics'];

const base = new ConfigurableModuleBuilder<WebhookModuleOptions>({ optionsInjectionToken: GIVEN_OPTIONS })
  .setClassMethodName('forRoot')
  .setExtras<WebhookExtras>({ events: undefined, topics: [] }, (definition, extras): DynamicModule => {
    const subjects = resolveSubjects(extras);
    return {
      ...definition,
      controllers: [webhookController(subjects)],
      providers: [
        ...(definition.providers ?? []),
        WebhookMetrics,
        {
          provide: Webhooks,
          useFactory: (options: WebhookModuleOptions, gateway: GatewayApi, metrics: WebhookMetrics) => {
            checkNoExtras(NAME, options, [...EXTRAS, 'imports']);
            const hooks = resolveWebhooks(options);
            assertSubjects(hooks, subjects);
            return new Webhooks(hooks, gateway, metrics);
          },
          inject: [GIVEN_OPTIONS, GatewayApi, WebhookMetrics],
        },
      ],
      exports: [WebhookMetrics],
    };
  })
  .build();

/**
 * Answers clients by HTTP endpoints of the application, in any language: who may connect, and what messages get for a reply. The app has a
 * `GateModule` or a `WorkerModule` beside it, and runs handlers.
 *
 * ```ts
 * WebhookModule.forRoot({
 *   endpoints: [{ url: 'https://shop.example/events', secret: process.env.WEBHOOK_SECRET, events: ['connect', 'message'], topics: ['shop/order'] }],
 * })
 * ```
 *
 * With `forRootAsync`, the topics and events of all endpoints stand beside the factory. An option that is unknown, or cannot be, stops the start
 * with `BAD_ARGUMENT`.
 */
@Module({})
export class WebhookModule extends base.ConfigurableModuleClass {
  static override forRoot(options: WebhookModuleOptions): DynamicModule {
    checkOptions(NAME, options);
    const { imports, ...rest } = options;
    const definition = super.forRoot({ ...rest, ...subjectsOf(resolveWebhooks(options)) });
    return { ...definition, imports: [...(definition.imports ?? []), ...(imports ?? [])] };
  }

  static override forRootAsync(options: typeof base.ASYNC_OPTIONS_TYPE): DynamicModule {
    checkAsyncOptions(NAME, options, EXTRAS);
    return super.forRootAsync(options);
  }
}
