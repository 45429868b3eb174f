import { type LogLevel, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { DynamicModule } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { GateTransport, SafeLogger } from '@nestgate/worker';
import { OperationsPort } from './operations/operations-port.js';

const LEVELS: readonly LogLevel[] = ['fatal', 'error', 'warn', 'log', 'debug', 'verbose'];

const FORMATS: readonly string[] = ['text', 'json'];

/**
 * Whether `NESTGATE_LOG` wants each line as a JSON object.
 * @throws {Error} naming the variable, its value and what is allowed.
 */
function logsJson(): boolean {
  const format = process.env['NESTGATE_LOG'] || 'text';
  if (!FORMATS.includes(format)) {
    throw new Error(`NESTGATE_LOG=${format} is not allowed; allowed: ${FORMATS.join(', ')}`);
  }
  return format === 'json';
}

/**
 * Tells who starts an app where to look, whatever the log level is. Where the log is JSON, only the log tells: another line would
 * be none.
 */
export function announce(line: string): void {
  if (!logsJson()) process.stdout.write(`${line}\n`);
}

/** Makes an app that ends by itself on SIGTERM. `LOG_LEVEL` says how much it logs, `NESTGATE_LOG` how. */
export async function createApp(module: DynamicModule | Type): Promise<NestExpressApplication> {
  const level = LEVELS.indexOf((process.env['LOG_LEVEL'] || 'log') as LogLevel);
  const app = await NestFactory.create<NestExpressApplication>(module, {
    // What clients send may come into a line, also one of Nest's own.
    logger: new SafeLogger({ json: logsJson(), logLevels: LEVELS.slice(0, level < 0 ? LEVELS.length : level + 1) }),
  });
  // Not SIGHUP: it has certificates read again.
  app.enableShutdownHooks(['SIGTERM', 'SIGINT'], { useProcessExit: true });
  return app;
}

/**
 * Opens the port for `/health` and `/metrics`, if there is to be one: before the others, so that an app that cannot have it takes no client.
 * Returns its number.
 */
export async function openOperations(
  app: NestExpressApplication,
  port: number | undefined,
): Promise<number | undefined> {
  const operations = app.get(OperationsPort);
  await operations.listen(port);
  return operations.port;
}

/** Connects the handlers of an app to its clients. */
export async function startHandlers(app: NestExpressApplication): Promise<void> {
  app.connectMicroservice({ strategy: app.get(GateTransport) }, { inheritAppConfig: true });
  await app.startAllMicroservices();
}
