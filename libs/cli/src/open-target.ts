import { GateError } from '@nestgate/protocol';
import type { HttpOperationName } from '@nestgate/worker/internal';
import type { Target, TargetOptions } from './target.js';

/** Connects by the options, or the environment. @throws {GateError} `BAD_ARGUMENT` when neither says where. */
export async function openTarget(options: TargetOptions): Promise<Target> {
  const { env } = process;
  const url = options.url ?? (options.link === undefined ? env['NESTGATE_URL'] : undefined);
  if (url !== undefined && url !== '') return new HttpTarget(url, options.key ?? env['NESTGATE_KEY']);
  const link = options.link ?? env['NESTGATE_LINK'];
  if (link !== undefined && link !== '') {
    // Nest is loaded only where a command joins the link: the others start in a quarter of the time.
    const { LinkTarget } = await import('./link-target.js');
    return LinkTarget.open(link, options.secret ?? env['NESTGATE_SECRET']);
  }
  throw new GateError('BAD_ARGUMENT', 'Say where the cluster is: --url and --key, or --link and --secret');
}

class HttpTarget implements Target {
  private readonly base: string;

  constructor(
    url: string,
    private readonly key: string | undefined,
  ) {
    const { origin, pathname } = new URL(url);
    this.base = origin + (pathname === '/' ? '/nestgate/v1' : pathname.replace(/\/$/, ''));
  }

  async call<T>(name: HttpOperationName, args: object = {}): Promise<T> {
    let response: Response;
    try {
      response = await fetch(`${this.base}/${name}`, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          ...(this.key !== undefined && { Authorization: `Bearer ${this.key}` }),
        },
        body: JSON.stringify(args),
      });
    } catch (error) {
      const cause = (error as { cause?: { message?: string } }).cause?.message ?? String(error);
      throw new GateError('LINK_UNAVAILABLE', `${this.base} cannot be reached: ${cause}`);
    }
    const text = await response.text();
    const body = (text.startsWith('{') ? JSON.parse(text) : {}) as T & { error?: { code: string; message: string } };
    if (body.error && response.status !== 207) throw new GateError(body.error.code, body.error.message);
    if (!response.ok) throw new GateError('BAD_REQUEST', `${this.base}/${name} has answered ${response.status}`);
    return body;
  }

  async close(): Promise<void> {}
}
