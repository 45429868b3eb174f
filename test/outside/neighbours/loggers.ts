/** nestjs-pino, or the logger of Nest, with JSON lines. */
import { ConsoleLogger, Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GateModule } from '@nestgate/gate';
import { OnTopic } from '@nestgate/worker';
import { Logger, LoggerModule } from 'nestjs-pino';
import { serve } from './serve.js';

@Controller()
class Failing {
  @OnTopic('fail')
  fail(): never {
    throw new RangeError('It broke\nin two lines');
  }
}

const isPino = process.env['LOGGER'] === 'pino';

@Module({
  imports: [
    GateModule.forRoot({ startupWait: 0 }),
    ...(isPino ? [LoggerModule.forRoot({ pinoHttp: { level: 'debug' } })] : []),
  ],
  controllers: [Failing],
})
class App {}

const app = isPino
  ? await NestFactory.create(App, { bufferLogs: true })
  : await NestFactory.create(App, { logger: new ConsoleLogger({ json: true }) });
if (isPino) app.useLogger(app.get(Logger));
await serve(app);
