/**
 * The private parts of Node's HTTP server that the gate uses; those of sockets are in the link, which uses them too.
 * `docs/architecture.md` lists them, with what happens when one is missing.
 */
import { createServer, type Server as HttpServer } from 'node:http';

/** Node has it as an option of servers; of a server that has not begun to listen the field counts too. */
type CheckingServer = HttpServer & { connectionsCheckingInterval?: number };
const HEADERS_CHECK_MS = 1_000;

/**
 * Headers must arrive in time, and Node checks that every 30 s unless told otherwise. What the application has set on its
 * server, stricter or not, stays. Where a server has no such field, Node checks as often as it does by itself.
 */
export function limitHeaders(server: CheckingServer, ms: number): void {
  const plain: CheckingServer = createServer();
  if (server.headersTimeout === plain.headersTimeout) server.headersTimeout = Math.min(ms, plain.headersTimeout);
  if (plain.connectionsCheckingInterval === undefined) return;
  if (server.connectionsCheckingInterval === plain.connectionsCheckingInterval) {
    server.connectionsCheckingInterval = HEADERS_CHECK_MS;
  }
}
