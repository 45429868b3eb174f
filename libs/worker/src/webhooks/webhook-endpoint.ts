import { parseJson } from '@nestgate/link/internal';
import type { BoundedLog } from '../log/bounded-log.js';
import { countOne, type WebhookMetrics } from './webhook-counters.js';
import type { ResolvedWebhook } from './webhook-options.js';
import { signedHeaders } from './webhook-signature.js';

/** Largest answer in bytes. */
const MAX_ANSWER_BYTES = 1_048_576;
/** Failures one after another from which on an endpoint counts as down. */
const MAX_FAILURES = 5;
/** How long an endpoint that is down gets no request: from the first to the second, doubled each time. */
const MIN_REST_MS = 1_000;
const MAX_REST_MS = 30_000;

/** Why an attempt has failed: no answer, one that is of no use, or the endpoint has not been asked at all. */
export type WebhookFault = 'network' | 'timeout' | 'status' | 'answer' | 'down' | 'busy';

/** An attempt that has failed for a reason that may pass. */
export class WebhookError extends Error {
  override readonly name = 'WebhookError';

  constructor(
    readonly fault: WebhookFault,
    message: string,
  ) {
    super(message);
  }
}

/** What an endpoint has answered. Its status is 2xx or 4xx. */
export interface WebhookAnswer {
  readonly status: number;
  /** The JSON of the answer; `undefined` when it is empty, or none. */
  readonly body: unknown;
}

/**
 * One endpoint: sends signed events, at most `maxConcurrent` at once. One that has failed several times gets no requests for a while, so
 * that clients do not wait for it in vain; then a single one finds out whether it is back.
 */
export class WebhookEndpoint {
  private inFlight = 0;
  private failures = 0;
  private restMs = 0;
  private restsUntil = 0;
  private isProbing = false;

  constructor(
    readonly options: ResolvedWebhook,
    private readonly metrics: WebhookMetrics,
    private readonly log: BoundedLog,
  ) {}

  /** Whether it takes another request now. */
  get isFree(): boolean {
    return this.inFlight < this.options.maxConcurrent && this.restLeft() === 0 && !this.isProbing;
  }

  /** How long it gets no requests, in milliseconds. */
  restLeft(): number {
    return this.restMs === 0 ? 0 : Math.max(0, this.restsUntil - performance.now());
  }

  /** Sends an event, as JSON, once. @throws {WebhookError} when there is no answer that can be used. */
  async send(id: string, event: string): Promise<WebhookAnswer> {
    try {
      this.assertFree();
      return await this.attempt(id, event);
    } catch (error) {
      const fault = error instanceof WebhookError ? error : new WebhookError('network', reasonOf(error));
      countOne(this.metrics.failed, fault.fault);
      throw fault;
    }
  }

  private assertFree(): void {
    if (this.inFlight >= this.options.maxConcurrent) {
      throw new WebhookError('busy', `${this.inFlight} requests are not answered`);
    }
    if (this.restLeft() > 0 || this.isProbing) throw new WebhookError('down', 'the endpoint does not answer');
  }

  private async attempt(id: string, body: string): Promise<WebhookAnswer> {
    const isProbe = this.restMs > 0;
    this.isProbing = isProbe;
    this.inFlight++;
    this.metrics.inFlight++;
    try {
      const answer = await this.exchange(id, body);
      this.noteSuccess();
      return answer;
    } catch (error) {
      this.noteFailure(error);
      throw error;
    } finally {
      this.inFlight--;
      this.metrics.inFlight--;
      if (isProbe) this.isProbing = false;
    }
  }

  private async exchange(id: string, body: string): Promise<WebhookAnswer> {
    const { url, secret, timeout } = this.options;
    const signal = AbortSignal.timeout(timeout);
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'user-agent': 'nestgate',
          ...signedHeaders(secret, id, Math.floor(Date.now() / 1_000), body),
        },
        body,
        // The signature is for this endpoint alone.
        redirect: 'manual',
        signal,
      });
      const { status } = response;
      const text = await textOf(response);
      if (status >= 500 || status === 408 || status === 429 || status < 200 || (status >= 300 && status < 400)) {
        throw new WebhookError('status', `it has answered ${status}`);
      }
      return { status, body: jsonOf(text, status) };
    } catch (error) {
      if (signal.aborted) throw new WebhookError('timeout', `it has not answered within ${timeout} ms`);
      throw error;
    }
  }

  private noteSuccess(): void {
    this.failures = 0;
    if (this.restMs === 0) return;
    this.restMs = 0;
    this.metrics.down--;
    this.log.log(`${this.shownUrl} answers again`);
  }

  private noteFailure(error: unknown): void {
    // Requests that were under way when it was found to be down say nothing new.
    if (++this.failures < MAX_FAILURES || this.restLeft() > 0) return;
    if (this.restMs === 0) {
      this.metrics.down++;
      this.log.error(`${this.shownUrl} is down: ${reasonOf(error)}; events of clients fail at once, or wait`);
    }
    this.restMs = Math.min(MAX_REST_MS, Math.max(MIN_REST_MS, this.restMs * 2));
    this.restsUntil = performance.now() + this.restMs;
  }

  /** Without the query, which may hold a key. */
  private get shownUrl(): string {
    const { origin, pathname } = new URL(this.options.url);
    return origin + pathname;
  }
}

async function textOf(response: Response): Promise<string> {
  if (!response.body) return '';
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body) {
    bytes += (part as Uint8Array).length;
    if (bytes > MAX_ANSWER_BYTES) throw new WebhookError('answer', `it is larger than ${MAX_ANSWER_BYTES} bytes`);
    parts.push(part as Uint8Array);
  }
  return Buffer.concat(parts).toString('utf8');
}

function jsonOf(text: string, status: number): unknown {
  if (text.trim() === '') return undefined;
  try {
    return parseJson<unknown>(text);
  } catch {
    // The text of a refusal is for people.
    if (status >= 400) return undefined;
    throw new WebhookError('answer', 'it is not JSON');
  }
}

/** What `fetch` says of a connection that has failed is in the cause of its error. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as { readonly message?: unknown; readonly cause?: { readonly message?: unknown } };
  const reason = cause?.message ?? message;
  return typeof reason === 'string' && reason !== '' ? reason : 'no reason';
}
