import { request } from 'node:http';

/** A request as it stands: `fetch` sets `Host`, and resolves paths. */
export interface RawRequest {
  readonly port: number;
  readonly path: string;
  readonly host?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends a request on a connection of its own, and resolves with the status of the answer. */
export function rawRequest({
  port,
  path,
  host = '127.0.0.1',
  method = 'GET',
  headers = {},
}: RawRequest): Promise<number> {
  return new Promise((resolve, reject) => {
    request({ host, port, path, method, headers, agent: false }, response => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0));
    })
      .once('error', reject)
      .end();
  });
}
