import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import { announce, createApp, openOperations, operatorModules, readConfig, startHandlers } from '@nestgate-app/common';
import { AppModule } from './app.module.js';
import { servePage } from './page.js';

const config = readConfig(process.env, 'memory:', true, true);
const app = await createApp(AppModule.forRoot(config.gate, await operatorModules(config)));
servePage(app);
await openOperations(app, config.opsPort);
await startHandlers(app);
await app.listen(config.port ?? 3000);

const { port } = app.getHttpServer().address() as AddressInfo;
announce(`nestgate chat: open http://localhost:${port}/ (clients: ws://localhost:${port}/gate)`);
