import type { ErrorBody } from '@nestgate/protocol';

/** What `request` rejects with: the answer was an error. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  /** The code of the answer, such as `FORBIDDEN`. */
  readonly code: string;
  /** The details of the answer, when it has any. */
  readonly details: unknown;

  constructor(
    /** The topic that was asked. */
    readonly topic: string,
    { code, message, details }: ErrorBody,
  ) {
    super(`${topic} was answered with ${code}: ${message}`);
    this.code = code;
    this.details = details;
  }
}
