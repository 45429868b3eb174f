/** An example of `docs/worker.md`: the whole `main.ts` of a worker that serves HTTP too. */
// example: hybrid main
import 'reflect-metadata';
import { Controller, Get, Module, ServiceUnavailableException, ValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GateTransport, WorkerModule } from '@nestgate/worker';
import { OrderTopics, Readiness } from './worker-examples.js';

@Controller('health')
export class HealthController {
  constructor(private readonly readiness: Readiness) {}

  @Get()
  check() {
    if (!this.readiness.isReady) throw new ServiceUnavailableException();
    return { status: 'ok' };
  }
}

@Module({
  imports: [WorkerModule.forRoot({ link: process.env['NESTGATE_LINK'], secret: process.env['NESTGATE_SECRET'] })],
  controllers: [HealthController, OrderTopics],
  providers: [Readiness],
})
export class HybridApp {}

export const app = await NestFactory.create(HybridApp);
app.useGlobalPipes(new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true })); // of topics too: inheritAppConfig
app.enableShutdownHooks(['SIGTERM', 'SIGINT']);
app.connectMicroservice({ strategy: app.get(GateTransport) }, { inheritAppConfig: true });
await app.startAllMicroservices();
await app.listen(process.env['PORT'] ?? 3001);
// end
