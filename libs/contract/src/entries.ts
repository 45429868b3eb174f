import {
  type AnyContract,
  type AnyEntry,
  type AnySchema,
  type EntryKind,
  type EntryTypes,
  GateError,
  isTopic,
} from '@nestgate/protocol';

/** A schema, or none. */
export type MaybeSchema = AnySchema | undefined;

/** What goes into a schema; `undefined` where there is none. */
export type SchemaInput<S> = S extends AnySchema ? NonNullable<S['~standard']['types']>['input'] : undefined;

/** What comes out of a schema; `undefined` where there is none. */
export type SchemaOutput<S> = S extends AnySchema ? NonNullable<S['~standard']['types']>['output'] : undefined;

/** The types of an entry with these schemas. */
export interface TypesFrom<B, R, I, C extends string> extends EntryTypes {
  readonly body: SchemaInput<B>;
  readonly received: SchemaOutput<B>;
  readonly reply: SchemaInput<R>;
  readonly answered: SchemaOutput<R>;
  readonly item: SchemaInput<I>;
  readonly code: C;
}

/** An entry that has no topic yet: its key in the contract gives it one, unless it names its own. */
export interface EntryDraft<K extends EntryKind, T extends string | undefined, Types extends EntryTypes> {
  readonly kind: K;
  readonly topic: T;
  readonly body: MaybeSchema;
  readonly reply: MaybeSchema;
  readonly item: MaybeSchema;
  readonly errors: readonly string[];
  readonly '~types'?: Types | undefined;
}

/** What every entry may have. */
export interface EntryOptions<B extends MaybeSchema, T extends string | undefined> {
  /** The schema of the body. Without one the body is not looked at, and its type is `undefined`. */
  readonly body?: B;
  /** The whole topic, in place of the contract's prefix with the entry's key. */
  readonly topic?: T;
}

/** A {@link request}. */
export interface RequestOptions<
  B extends MaybeSchema,
  R extends MaybeSchema,
  C extends string,
  T extends string | undefined,
> extends EntryOptions<B, T> {
  /** The schema of the reply. */
  readonly reply?: R;
  /** The application's own error codes that the client may get, beside those of nestgate. */
  readonly errors?: readonly C[];
}

/** A {@link stream}. */
export interface StreamOptions<
  B extends MaybeSchema,
  I extends MaybeSchema,
  C extends string,
  T extends string | undefined,
> extends EntryOptions<B, T> {
  /** The schema of each item. */
  readonly item?: I;
  /** The application's own error codes that the client may get, beside those of nestgate. */
  readonly errors?: readonly C[];
}

// `NoInfer`: else `contract()`, which takes any topic, would make the type of an entry without a topic `string`.

/** The client asks, the server replies once. */
export function request<
  B extends MaybeSchema = undefined,
  R extends MaybeSchema = undefined,
  const C extends string = never,
  const T extends string | undefined = undefined,
>(options: RequestOptions<B, R, C, T> = {}): EntryDraft<'request', NoInfer<T>, TypesFrom<B, R, undefined, C>> {
  return draft('request', options, ['body', 'reply', 'errors', 'topic']);
}

/** The client sends, and gets no reply. */
export function message<B extends MaybeSchema = undefined, const T extends string | undefined = undefined>(
  options: EntryOptions<B, T> = {},
): EntryDraft<'message', NoInfer<T>, TypesFrom<B, undefined, undefined, never>> {
  return draft('message', options, ['body', 'topic']);
}

/** The client asks, the server replies with any number of items. */
export function stream<
  B extends MaybeSchema = undefined,
  I extends MaybeSchema = undefined,
  const C extends string = never,
  const T extends string | undefined = undefined,
>(options: StreamOptions<B, I, C, T> = {}): EntryDraft<'stream', NoInfer<T>, TypesFrom<B, undefined, I, C>> {
  return draft('stream', options, ['body', 'item', 'errors', 'topic']);
}

/** The server sends, to any number of clients. */
export function push<B extends MaybeSchema = undefined, const T extends string | undefined = undefined>(
  options: EntryOptions<B, T> = {},
): EntryDraft<'push', NoInfer<T>, TypesFrom<B, undefined, undefined, never>> {
  return draft('push', options, ['body', 'topic']);
}

/** The server asks, the client replies. */
export function call<
  B extends MaybeSchema = undefined,
  R extends MaybeSchema = undefined,
  const C extends string = never,
  const T extends string | undefined = undefined,
>(options: RequestOptions<B, R, C, T> = {}): EntryDraft<'call', NoInfer<T>, TypesFrom<B, R, undefined, C>> {
  return draft('call', options, ['body', 'reply', 'errors', 'topic']);
}

interface AnyOptions {
  readonly body?: MaybeSchema;
  readonly reply?: MaybeSchema;
  readonly item?: MaybeSchema;
  readonly errors?: readonly string[];
  readonly topic?: string | undefined;
}

function draft<K extends EntryKind, T extends string | undefined, Types extends EntryTypes>(
  kind: K,
  options: AnyOptions,
  known: readonly string[],
): EntryDraft<K, T, Types> {
  const unknown = Object.keys(options).find(key => !known.includes(key));
  if (unknown !== undefined) {
    throw new GateError('BAD_ARGUMENT', `${kind}(): unknown option "${unknown}"; known: ${known.join(', ')}`);
  }
  const { body, reply, item, errors = [], topic } = options;
  for (const [name, schema] of Object.entries({ body, reply, item })) {
    if (schema === undefined || isSchema(schema)) continue;
    throw new GateError(
      'BAD_ARGUMENT',
      `${kind}(): ${name} must be a Standard Schema, such as one of zod, valibot or arktype, type<T>() or dto(Class)`,
    );
  }
  if (!Array.isArray(errors) || errors.some(code => typeof code !== 'string' || code === '')) {
    throw new GateError('BAD_ARGUMENT', `${kind}(): errors must be a list of codes`);
  }
  return Object.freeze({ kind, topic: topic as T, body, reply, item, errors: Object.freeze([...errors]) });
}

function isSchema(value: unknown): value is AnySchema {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  const standard = (value as Partial<AnySchema>)['~standard'];
  return typeof standard?.validate === 'function';
}

/** Whether a value is an entry of a contract, made by any copy of this package. */
export function isEntry(value: unknown): value is AnyEntry {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, topic } = value as Partial<AnyEntry>;
  return KINDS.has(kind) && isTopic(topic);
}

const KINDS: ReadonlySet<unknown> = new Set<EntryKind>(['request', 'message', 'stream', 'push', 'call']);

/** The entries of contracts, in the order in which they stand there. @throws {GateError} `BAD_ARGUMENT` for what is none. */
export function entriesOf(contracts: readonly AnyContract[]): readonly AnyEntry[] {
  return contracts.flatMap(contract => {
    const entries: readonly unknown[] = Object.values(contract);
    if (!entries.every(isEntry)) throw new GateError('BAD_ARGUMENT', 'A contract has a value that is no entry');
    return entries;
  });
}
