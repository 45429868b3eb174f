/** An app for `throttling.e2e-spec.ts`, in a process of its own: Jest cannot load the CommonJS of `@nestjs/throttler` beside Nest. */
import 'reflect-metadata';
import { Controller, Get, Logger, Module } from '@nestjs/common';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import { Payload } from '@nestjs/microservices';
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';
import { GateModule } from '@nestgate/gate';
import { GateTransport, OnTopic } from '@nestgate/worker';
import { GateThrottlerGuard, ThrottlingModule } from './worker-examples-throttling.js';

@Controller()
class LimitedTopics {
  @OnTopic('limited/do')
  do(@Payload() body: unknown): unknown {
    return body ?? null;
  }

  @Get('limited')
  get(): string {
    return 'done';
  }
}

const { LIMIT = '10', GUARD = 'recipe' } = process.env;

const guard = { provide: APP_GUARD, useClass: GUARD === 'stock' ? ThrottlerGuard : GateThrottlerGuard };

@Module({
  imports: [
    GateModule.forRoot({ startupWait: 0, trustedProxies: ['loopback'] }),
    GUARD === 'module' ? ThrottlingModule : ThrottlerModule.forRoot([{ ttl: 60_000, limit: Number(LIMIT) }]),
  ],
  controllers: [LimitedTopics],
  providers: GUARD === 'module' ? [] : [guard],
})
class App {}

const warnings: string[] = [];
Logger.overrideLogger({
  log: () => undefined,
  error: (line: unknown) => console.error(line),
  warn: (line: unknown) => void warnings.push(String(line)),
});
const app = await NestFactory.create(App);
app.connectMicroservice({ strategy: app.get(GateTransport) }, { inheritAppConfig: true });
await app.startAllMicroservices();
await app.listen(0, '127.0.0.1');
const { port } = app.getHttpServer().address() as { port: number };
console.log(JSON.stringify({ port, warnings }));
