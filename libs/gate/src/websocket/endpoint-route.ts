import type { HttpAdapterHost } from '@nestjs/core';
import { isEndpoint, pathOf } from '../admission/handshake-check.js';

/**
 * Answers plain HTTP requests to the endpoint, so that the answer is not 404. `onRefused` is called with the status of each answer,
 * except for paths that do not exist.
 */
export function addEndpointRoute(
  http: HttpAdapterHost['httpAdapter'],
  path: string,
  onRefused: (status: number) => void,
): void {
  const answer = (request: { method?: string; originalUrl?: string; url?: string }, response: unknown): void => {
    const asked = pathOf(request.originalUrl ?? request.url);
    // Routes of Express match in any case; upgrades do not.
    const status = isEndpoint(asked, path) ? 400 : 404;
    const message = status === 400 ? 'This is a WebSocket endpoint' : `Cannot ${request.method} ${asked}`;
    if (status === 400) onRefused(status);
    http.reply(response, { statusCode: status, message }, status);
  };
  http.all(path, answer);
  // Express takes the slash at the end as it is; Fastify does not.
  if (http.getType() !== 'express' && path !== '/')
    http.all(path.endsWith('/') ? path.slice(0, -1) : `${path}/`, answer);
}
