import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';

/** What the port answers. The rest of the app stays on its own port. */
const PATHS: ReadonlySet<string> = new Set(['/health', '/health/ready', '/metrics']);
/** Probes and Prometheus need a handful. */
const MAX_CONNECTIONS = 256;
const HEADERS_MS = 5_000;
const REQUEST_MS = 10_000;

/**
 * A port of its own for `/health` and `/metrics`, so that those who reach the port of the clients do not read them. Its requests go to the
 * controllers of the app. It answers until the app has ended, so that probes can see it drain.
 */
@Injectable()
export class OperationsPort implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly requests = new WeakSet<IncomingMessage>();
  private server: Server | undefined;
  private isInitialized = false;

  constructor(private readonly adapterHost: HttpAdapterHost) {}

  /** The port; `undefined` while there is none. */
  get port(): number | undefined {
    return (this.server?.address() as AddressInfo | null | undefined)?.port;
  }

  /** Whether a request came to this port. */
  isOwn(request: IncomingMessage): boolean {
    return this.requests.has(request);
  }

  /** Listens on a port, 0 picks a free one; on none when it is `undefined`. Answers 503 until the app has its routes. */
  async listen(port: number | undefined): Promise<void> {
    if (port === undefined) return;
    const limits = { headersTimeout: HEADERS_MS, requestTimeout: REQUEST_MS, connectionsCheckingInterval: HEADERS_MS };
    const server = createServer(limits, (request, response) => this.answer(request, response));
    server.maxConnections = MAX_CONNECTIONS;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, () => {
        server.off('error', reject);
        resolve();
      });
    });
    this.server = server;
  }

  onApplicationBootstrap(): void {
    this.isInitialized = true;
  }

  onApplicationShutdown(): void {
    this.server?.close();
    this.server?.closeAllConnections();
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const [path = ''] = (request.url ?? '').split('?', 1);
    if (!PATHS.has(path)) {
      response.writeHead(404).end();
    } else if (!this.isInitialized) {
      response.writeHead(503, { 'Retry-After': '1' }).end();
    } else {
      this.requests.add(request);
      this.adapterHost.httpAdapter.getInstance<RequestListener>()(request, response);
    }
  }
}
