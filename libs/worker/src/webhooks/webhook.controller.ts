import { Controller, Inject, type Type } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import type { Session } from '../session/session.js';
import { ClientSession } from '../topics/client-session.decorator.js';
import { type ConnectEvent, type DisconnectEvent, OnConnect, OnDisconnect } from '../topics/client-events.js';
import { OnTopic } from '../topics/on-topic.decorator.js';
import type { WebhookSubjects } from './webhook-options.js';
import { Webhooks } from './webhooks.js';

/** A controller with a handler for each event and topic that has an endpoint. */
export function webhookController({ events, topics }: WebhookSubjects): Type {
  class WebhookController {
    constructor(readonly webhooks: Webhooks) {}
  }
  Inject(Webhooks)(WebhookController, undefined, 0);
  const { prototype } = WebhookController;
  const handle = (name: string, decorator: MethodDecorator, value: (...args: never[]) => unknown): void => {
    Object.defineProperty(prototype, name, { value, writable: true, configurable: true });
    Payload()(prototype, name, 0);
    ClientSession()(prototype, name, 1);
    decorator(prototype, name, Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor);
  };
  if (events.includes('connect')) {
    handle('connect', OnConnect(), function (this: WebhookController, event: ConnectEvent, session: Session) {
      return this.webhooks.connect(event, session);
    });
  }
  if (events.includes('disconnect')) {
    handle('disconnect', OnDisconnect(), function (this: WebhookController, event: DisconnectEvent, session: Session) {
      this.webhooks.disconnect(event, session);
    });
  }
  for (const topic of topics) {
    // The kind is named: there is no type that it could be read from.
    const decorator = OnTopic(topic, { payload: 'json' });
    handle(`message ${topic}`, decorator, function (this: WebhookController, body: unknown, session: Session) {
      return this.webhooks.message(topic, body, session);
    });
  }
  Controller()(WebhookController);
  return WebhookController;
}
