/** A value that is there by what the caller knows: its index was checked, or the link is open. @throws {Error} when it is not. */
export function present<T>(value: T): NonNullable<T> {
  if (value === undefined || value === null) throw new Error('A value is missing that must be there');
  return value;
}

/** What a text holds that this program has written itself, or that is checked by the caller. */
export function parseJson<T>(text: string): T {
  return JSON.parse(text) as T;
}

/** The message of what was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of what was thrown, as errors of Node and of this library have one. */
export function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
}
