/** An app for `throttling.e2e-spec.ts`, in a process of its own: Jest cannot load the CommonJS of `@nestjs/throttler` beside Nest. */
import 'reflect-metadata';
import { Controller, Get, Logger, Module, UseGuards } from '@nestjs/common';
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

@Controller()
@UseGuards(ThrottlerGuard)
class GuardedClass {
  @OnTopic('guarded/class')
  do(): void {}
}

@Controller()
class GuardedMethod {
  @UseGuards(ThrottlerGuard)
  @OnTopic('guarded/method')
  do(): void {}
}

/** A stock guard on a route is what it is made for. */
@Controller()
class GuardedRoute {
  @UseGuards(ThrottlerGuard)
  @Get('guarded')
  get(): void {}
}

const GUARDED = { class: GuardedClass, method: GuardedMethod, route: GuardedRoute };

const { LIMIT = '10', GUARD = 'recipe' } = process.env;

const guard = { provide: APP_GUARD, useClass: GUARD === 'stock' ? ThrottlerGuard : GateThrottlerGuard };

@Module({
  imports: [
    GateModule.forRoot({ startupWait: 0, trustedProxies: ['loopback'] }),
    GUARD === 'module' ? ThrottlingModule : ThrottlerModule.forRoot([{ ttl: 60_000, limit: Number(LIMIT) }]),
  ],
  controllers: GUARD in GUARDED ? [LimitedTopics, GUARDED[GUARD as keyof typeof GUARDED]] : [LimitedTopics],
  providers: GUARD === 'recipe' || GUARD === 'stock' ? [guard] : [],
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
