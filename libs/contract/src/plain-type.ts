import type { PlainVendor, StandardSchema } from '@nestgate/protocol';

const VENDOR: PlainVendor = 'nestgate';

/** One object for all types: there is nothing in it that differs. */
const ANYTHING: StandardSchema = Object.freeze({
  '~standard': Object.freeze({ version: 1, vendor: VENDOR, validate: (value: unknown) => ({ value }) } as const),
});

/**
 * A type without a schema: the compiler checks it, and nothing is validated at run time. For the bodies of clients use a schema, since a
 * client may send anything.
 */
export function type<T>(): StandardSchema<T, T> {
  return ANYTHING as StandardSchema<T, T>;
}
