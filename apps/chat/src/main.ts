import 'reflect-metadata';
import { Logger, type LogLevel } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { GateTransport } from '@nestgate/worker';
import type { AddressInfo } from 'node:net';
import { AppModule } from './app.module.js';
import { readConfig } from './config.js';
import { servePage } from './page.js';

const LEVELS: readonly LogLevel[] = ['fatal', 'error', 'warn', 'log', 'debug', 'verbose'];

const config = readConfig(process.env);
const level = LEVELS.indexOf((process.env['LOG_LEVEL'] || 'log') as LogLevel);
const app = await NestFactory.create<NestExpressApplication>(AppModule.forRoot(config.gate), {
  logger: LEVELS.slice(0, level < 0 ? LEVELS.length : level + 1),
});
servePage(app);
app.enableShutdownHooks([], { useProcessExit: true });
app.connectMicroservice({ strategy: app.get(GateTransport) }, { inheritAppConfig: true });
await app.startAllMicroservices();
await app.listen(config.port);

const { port } = app.getHttpServer().address() as AddressInfo;
// Not a log line: whoever starts the app should see where to look, whatever the log level.
process.stdout.write(`nestgate chat: open http://localhost:${port}/ (clients: ws://localhost:${port}/gate)\n`);
new Logger('chat').debug(`Node ${process.version}, pid ${process.pid}`);
