/** nestjs-cls for routes and topics: set up by its middleware, and by its guard or its interceptor. */
import { setTimeout } from 'node:timers/promises';
import { Controller, Get, Injectable, Module, Query } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Payload } from '@nestjs/microservices';
import { GateModule } from '@nestgate/gate';
import { OnConnect, OnTopic, type TopicContext } from '@nestgate/worker';
import { ClsModule, ClsService } from 'nestjs-cls';
import { serve } from './serve.js';

/** What a handler calls, which knows of the call only by its context. */
@Injectable()
class Audit {
  constructor(private readonly cls: ClsService) {}

  async look(ms: number): Promise<{ id: string; client: unknown; note: unknown }> {
    await setTimeout(ms);
    return { id: this.cls.getId(), client: this.cls.get('client'), note: this.cls.get('note') };
  }
}

@Controller()
class Noting {
  constructor(
    private readonly cls: ClsService,
    private readonly audit: Audit,
  ) {}

  @OnConnect()
  arrived(): void {
    // Entered and left behind: no topic may see it.
    this.cls.enter();
    this.cls.set('note', 'of an arrival');
  }

  @OnTopic('note')
  async note(@Payload() { note, ms }: { note?: string; ms: number }) {
    const before: unknown = this.cls.get('note') ?? null;
    if (note !== undefined) this.cls.set('note', note);
    return { before, ...(await this.audit.look(ms)) };
  }

  @OnTopic('note/beside', { concurrent: true })
  beside(@Payload() body: { note?: string; ms: number }) {
    return this.note(body);
  }

  @Get('note')
  route(@Query('note') note: string) {
    return this.note({ note, ms: 20 });
  }
}

const forTopics = {
  mount: true,
  generateId: true,
  setup: (cls: ClsService, context: { getType(): string; switchToRpc(): { getContext(): TopicContext } }) => {
    if (context.getType() === 'rpc') cls.set('client', context.switchToRpc().getContext().clientId);
  },
};

@Module({
  imports: [
    ClsModule.forRoot({
      global: true,
      middleware: { mount: true, generateId: true },
      ...(process.env['BY'] === 'guard' ? { guard: forTopics } : { interceptor: forTopics }),
    }),
    GateModule.forRoot({ startupWait: 0 }),
  ],
  controllers: [Noting],
  providers: [Audit],
})
class App {}

await serve(await NestFactory.create(App, { logger: ['error', 'warn'] }));
