import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { type HttpAnswer, refusal } from './http-answer.js';
import { HttpMetrics } from './http-counters.js';

/** How long an answer is remembered, in milliseconds. */
const REMEMBER_MS = 300_000;
/** Most answers that are remembered. */
const MAX_ENTRIES = 10_000;
/** Most bytes of answers that are remembered. */
const MAX_BYTES = 32 * 1024 * 1024;
/** What an entry takes beside its answer, in bytes. */
const ENTRY_BYTES = 512;
/** Longest `Idempotency-Key` in characters. */
const MAX_KEY_LENGTH = 256;

interface Entry {
  readonly hash: string;
  readonly answer: Promise<HttpAnswer>;
  readonly expires: number;
  bytes: number;
}

/**
 * Remembers the answers of requests with an `Idempotency-Key`: the same request gets the same answer, and its operation runs once, also
 * while the first one is still in flight. Answers that a retry may improve (429, and 500 and above) are not remembered.
 */
@Injectable()
export class Idempotency {
  /** In the order in which they were added, which is the order in which they expire. */
  private readonly entries = new Map<string, Entry>();
  private bytes = 0;

  constructor(private readonly metrics: HttpMetrics) {}

  /**
   * The answer of a request.
   * @param scope whose key it is: other callers have their own.
   * @param request what must be the same: the path and the body.
   */
  async once(
    key: string,
    scope: string,
    request: readonly [path: string, body: Buffer],
    run: () => Promise<HttpAnswer>,
  ): Promise<HttpAnswer> {
    if (key === '' || key.length > MAX_KEY_LENGTH) {
      return refusal('BAD_ARGUMENT', `Idempotency-Key must have 1 to ${MAX_KEY_LENGTH} characters`);
    }
    const hash = createHash('sha256').update(`${request[0]}\n`).update(request[1]).digest('base64');
    const name = `${scope}\n${key}`;
    this.expire();
    const known = this.entries.get(name);
    if (known) {
      if (known.hash !== hash) {
        return refusal('IDEMPOTENCY_KEY_REUSED', 'This Idempotency-Key belongs to another request');
      }
      this.metrics.replayed++;
      const answer = await known.answer;
      return { ...answer, headers: { ...answer.headers, 'Idempotency-Replayed': 'true' } };
    }
    const answer = run();
    const entry: Entry = { hash, answer, expires: performance.now() + REMEMBER_MS, bytes: ENTRY_BYTES };
    this.entries.set(name, entry);
    this.bytes += entry.bytes;
    const { status, body } = await answer;
    if (this.entries.get(name) === entry) {
      if (status >= 500 || status === 429) {
        this.forget(name, entry);
      } else {
        const size = Buffer.byteLength(JSON.stringify(body));
        entry.bytes += size;
        this.bytes += size;
      }
    }
    this.bound();
    return answer;
  }

  private expire(): void {
    const now = performance.now();
    for (const [name, entry] of this.entries) {
      if (entry.expires > now) return;
      this.forget(name, entry);
    }
  }

  private bound(): void {
    for (const [name, entry] of this.entries) {
      if (this.entries.size <= MAX_ENTRIES && this.bytes <= MAX_BYTES) return;
      this.forget(name, entry);
      this.metrics.forgotten++;
    }
  }

  private forget(name: string, entry: Entry): void {
    this.entries.delete(name);
    this.bytes -= entry.bytes;
  }
}
