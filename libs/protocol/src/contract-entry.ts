/**
 * What a contract is made of, for those who read one: the worker, the client, tools. `@nestgate/contract` makes contracts. Nothing here
 * exists at run time, so a program that imports these types gets no schema library.
 */

/** The part of [Standard Schema](https://standardschema.dev) v1 that is used here. zod, valibot, arktype and others implement it. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** What a schema says of a value: the value that comes out of it, or what is wrong. */
export type SchemaResult<Output> =
  { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] };

/** One thing that is wrong with a value. */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** A schema of anything. `any`, because a schema is assignable to one of `any` only. */
// oxlint-disable-next-line typescript/no-explicit-any
export type AnySchema = StandardSchema<any, any>;

/**
 * How a topic is used. From the client: `request` has a reply, `message` has none, `stream` has many. From the server: `push` has no
 * reply, `call` has one.
 */
export type EntryKind = 'request' | 'message' | 'stream' | 'push' | 'call';

/** The kinds that clients send and `@OnTopic` methods handle. */
export type HandledKind = 'request' | 'message' | 'stream';

/** The types of an entry. Each is what travels, except `received` and `answered`. */
export interface EntryTypes {
  /** The body as its sender gives it: the input of the schema. */
  readonly body: unknown;
  /** The body as the server gets it from a client: the output of the schema, with its defaults and transformations. */
  readonly received: unknown;
  /** The reply as it is given: the input of the schema. */
  readonly reply: unknown;
  /** The reply of a client to a call, as the server gets it: the output of the schema. */
  readonly answered: unknown;
  /** An item of a stream. */
  readonly item: unknown;
  /** The error codes that the entry declares. */
  readonly code: string;
}

/** A topic of a contract: its direction, its schemas, its types. */
export interface ContractEntry<
  K extends EntryKind = EntryKind,
  T extends string = string,
  Types extends EntryTypes = EntryTypes,
> {
  readonly kind: K;
  readonly topic: T;
  readonly body: AnySchema | undefined;
  readonly reply: AnySchema | undefined;
  readonly item: AnySchema | undefined;
  /** Error codes of the application that a client may get. */
  readonly errors: readonly string[];
  /** For the compiler only; it is never there. */
  readonly '~types'?: Types | undefined;
}

/** Any entry. */
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyEntry<K extends EntryKind = EntryKind> = ContractEntry<K, string, any>;

/** Any contract, or a part of one: an object whose values are entries. */
export type AnyContract = Readonly<Record<string, AnyEntry>>;

/** The `vendor` of the schema that `type<T>()` makes: it lets everything through, and need not be asked. */
export type PlainVendor = 'nestgate';

/** One of the types of an entry. */
export type TypeOf<E, K extends keyof EntryTypes> = E extends {
  readonly '~types'?: { readonly [P in K]: infer V } | undefined;
}
  ? V
  : never;

/** The entries of a contract; of a union of contracts, those of all of them. */
export type EntriesOf<C, K extends EntryKind = EntryKind> = Extract<
  C extends unknown ? C[keyof C] : never,
  { readonly kind: K }
>;

/** The body as the server has it: what a handler gets, what a push or a call is given. */
export type BodyOf<E extends AnyEntry> = E['kind'] extends HandledKind ? TypeOf<E, 'received'> : TypeOf<E, 'body'>;

/** The body as the client has it: what it sends, or gets with a push or a call. */
export type ClientBodyOf<E extends AnyEntry> = TypeOf<E, 'body'>;

/** The reply: what a handler returns, and the client gets. */
export type ReplyOf<E extends AnyEntry> = TypeOf<E, 'reply'>;

/** An item of a stream. */
export type ItemOf<E extends AnyEntry> = TypeOf<E, 'item'>;

/** The error codes that an entry declares. */
export type ErrorCodeOf<E extends AnyEntry> = TypeOf<E, 'code'> & string;

/** The topics of a contract, all or those of some kinds. */
export type TopicsOf<C, K extends EntryKind = EntryKind> = EntriesOf<C, K>['topic' & keyof EntriesOf<C, K>];

/** Topics and bodies of the pushes of a contract: `GatewayApi<PushesOf<typeof chat>>`. */
export type PushesOf<C> = { [E in EntriesOf<C, 'push'> as TopicOfEntry<E>]: TypeOf<E, 'body'> };

/** Topics and bodies of the messages of a contract, which clients send without waiting for a reply. */
export type MessagesOf<C> = { [E in EntriesOf<C, 'message'> as TopicOfEntry<E>]: TypeOf<E, 'body'> };

/** Topics of the requests of a contract, with body, reply and error codes as the client has them. */
export type RequestsOf<C> = {
  [E in EntriesOf<C, 'request'> as TopicOfEntry<E>]: {
    readonly body: TypeOf<E, 'body'>;
    readonly reply: TypeOf<E, 'reply'>;
    readonly code: TypeOf<E, 'code'>;
  };
};

/** Topics of the streams of a contract, with body, item and error codes as the client has them. */
export type StreamsOf<C> = {
  [E in EntriesOf<C, 'stream'> as TopicOfEntry<E>]: {
    readonly body: TypeOf<E, 'body'>;
    readonly item: TypeOf<E, 'item'>;
    readonly code: TypeOf<E, 'code'>;
  };
};

/** Topics of the calls of a contract, which the server makes: `body` and `reply` as the client has them, `answered` as the server does. */
export type CallsOf<C> = {
  [E in EntriesOf<C, 'call'> as TopicOfEntry<E>]: {
    readonly body: TypeOf<E, 'body'>;
    readonly reply: TypeOf<E, 'reply'>;
    readonly answered: TypeOf<E, 'answered'>;
    readonly code: TypeOf<E, 'code'>;
  };
};

type TopicOfEntry<E> = E extends { readonly topic: infer T extends string } ? T : never;
