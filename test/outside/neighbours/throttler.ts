/** The recipe of the docs, or the guard of the library as it is, before routes, topics and handshakes. */
import { Controller, Get, Module } from '@nestjs/common';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';
import { GateModule } from '@nestgate/gate';
import { OnTopic } from '@nestgate/worker';
import { serve } from './serve.js';
import { GateThrottlerGuard } from './throttling-recipe.js';

@Controller()
class Limited {
  @Get('limited')
  get(): string {
    return 'done';
  }

  @OnTopic('limited/do')
  do(): string {
    return 'done';
  }
}

@Module({
  imports: [
    GateModule.forRoot({ startupWait: 0, trustedProxies: ['loopback'] }),
    ThrottlerModule.forRoot([{ ttl: 60_000, limit: Number(process.env['LIMIT']) }]),
  ],
  controllers: [Limited],
  providers: [{ provide: APP_GUARD, useClass: process.env['GUARD'] === 'stock' ? ThrottlerGuard : GateThrottlerGuard }],
})
class App {}

await serve(await NestFactory.create(App, { logger: ['error', 'warn'] }));
