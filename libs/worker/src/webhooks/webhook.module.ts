import { type DynamicModule, Module } from '@nestjs/common';
import { GatewayApi } from '../gateway/gateway-api.js';
import { checkOptions } from '../node/module-options.js';
import { WebhookMetrics } from './webhook-counters.js';
import { resolveWebhooks, type WebhookModuleOptions } from './webhook-options.js';
import { webhookController } from './webhook.controller.js';
import { Webhooks } from './webhooks.js';

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
 * An option that is unknown, or cannot be, stops the start with `BAD_ARGUMENT`.
 */
@Module({})
export class WebhookModule {
  static forRoot(options: WebhookModuleOptions): DynamicModule {
    checkOptions('WebhookModule', options);
    const hooks = resolveWebhooks(options);
    return {
      module: WebhookModule,
      imports: [...(options.imports ?? [])],
      controllers: [webhookController(hooks)],
      providers: [
        WebhookMetrics,
        {
          provide: Webhooks,
          useFactory: (gateway: GatewayApi, metrics: WebhookMetrics) => new Webhooks(hooks, gateway, metrics),
          inject: [GatewayApi, WebhookMetrics],
        },
      ],
      exports: [WebhookMetrics],
    };
  }
}
