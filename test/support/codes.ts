import { expect } from '@jest/globals';
import type { FakeClient } from '@nestgate/testing';

/** The code of the error that a request is answered with; `undefined` for any other answer. */
export async function codeOf(client: FakeClient, topic: string, body?: unknown): Promise<string | undefined> {
  return (await client.exchange(topic, body)).error?.code;
}

/** What a call rejects with. @throws when it does not. */
export async function rejectionOf<T = { code: string; message: string; details: unknown }>(
  call: Promise<unknown>,
): Promise<T> {
  return call.then(
    value => Promise.reject(new Error(`It was not rejected: ${JSON.stringify(value)}`)),
    (reason: unknown) => reason as T,
  );
}

/** A call rejects with this code. */
export async function expectCode(call: Promise<unknown>, code: string): Promise<void> {
  await expect(call).rejects.toMatchObject({ code });
}
