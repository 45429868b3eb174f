import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import type { INestApplication } from '@nestjs/common';
import { GateTransport } from '@nestgate/worker';

/** Starts an app as the docs do, and says where. */
export async function serve(app: INestApplication): Promise<void> {
  app.enableShutdownHooks(['SIGTERM']);
  app.connectMicroservice({ strategy: app.get(GateTransport) }, { inheritAppConfig: true });
  await app.startAllMicroservices();
  await app.listen(0, '127.0.0.1');
  console.log(`listening on ${(app.getHttpServer().address() as AddressInfo).port}`);
}
