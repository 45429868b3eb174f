import 'reflect-metadata';
import { fileURLToPath } from 'node:url';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { GateTransport } from '@nestgate/worker';
import { AppModule } from './app.module.js';

const app = await NestFactory.create<NestExpressApplication>(AppModule);
app.enableShutdownHooks(['SIGTERM', 'SIGINT']);
app.useStaticAssets(fileURLToPath(new URL('../page', import.meta.url)));
// The client library as the browser loads it: see the import map of the page.
app.useStaticAssets(fileURLToPath(new URL('.', import.meta.resolve('@nestgate/client'))), { prefix: '/client' });
app.connectMicroservice({ strategy: app.get(GateTransport) }, { inheritAppConfig: true });
await app.startAllMicroservices();
await app.listen(process.env['PORT'] ?? 3000);
console.log(`Open ${await app.getUrl()}`);
