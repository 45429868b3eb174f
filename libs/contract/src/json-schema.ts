import type { AnySchema } from '@nestgate/protocol';

/** A JSON Schema, as an object. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Makes the JSON Schema of what goes into a schema; `undefined` when it does not know the schema. */
export type ToJsonSchema = (schema: AnySchema) => JsonSchema | undefined;

/** The version that AsyncAPI 3.0 extends. */
const TARGET = 'draft-07';

/** Marks what stands in a document for a schema that has no JSON Schema. */
export const UNKNOWN_SCHEMA = 'x-nestgate-unknown';

/** What is used of Standard JSON Schema, which a schema may implement beside Standard Schema. */
interface WithJsonSchema {
  readonly '~standard': {
    readonly jsonSchema?: { readonly input?: (options: { readonly target: string }) => JsonSchema };
  };
}

/** The JSON Schema of what goes into a schema. Its references lead to `at`, the place where it stands in a document. */
export function jsonSchemaOf(schema: AnySchema | undefined, at: string, convert?: ToJsonSchema): JsonSchema {
  if (!schema) return { description: 'There is no body' };
  const made = convert?.(schema) ?? standardJsonSchema(schema);
  if (!made) {
    return {
      description: `A ${schema['~standard'].vendor} schema that has no JSON Schema`,
      [UNKNOWN_SCHEMA]: true,
    };
  }
  const { $schema: _version, ...rest } = made;
  return withReferencesAt(rest, at) as JsonSchema;
}

/** zod (from 4.2), arktype and others implement Standard JSON Schema; what cannot be expressed there throws. */
function standardJsonSchema(schema: AnySchema): JsonSchema | undefined {
  try {
    return (schema as WithJsonSchema)['~standard'].jsonSchema?.input?.({ target: TARGET });
  } catch {
    return undefined;
  }
}

/** A local reference of a schema is one of the whole document, once the schema stands in it. */
function withReferencesAt(value: unknown, at: string): unknown {
  if (Array.isArray(value)) return value.map(each => withReferencesAt(each, at));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]: [string, unknown]) =>
      key === '$ref' && typeof each === 'string' && each.startsWith('#')
        ? [key, at + each.slice(1)]
        : [key, withReferencesAt(each, at)],
    ),
  );
}

/** A key as a part of a JSON pointer. */
export function pointerPart(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}
