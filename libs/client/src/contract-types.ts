/** The parts of a contract that the client reads. Contracts of `@nestgate/contract` have them; only types are used, nothing is imported. */

/** How a topic is used. `request`, `message` and `stream` are sent by the client, `push` and `call` come from the server. */
export type EntryKind = 'request' | 'message' | 'stream' | 'push' | 'call';

/** A client without a contract: any topic, any body. */
export type NoContract = undefined;

/** The entries of one kind; of a union of contracts, those of all of them. */
type EntriesOf<C, K extends EntryKind> = Extract<C extends unknown ? C[keyof C] : never, { readonly kind: K }>;

/** Entries by their topics: a map, which the compiler makes once. To search all entries for each topic would take long with many. */
type EntryMap<C, K extends EntryKind> = {
  readonly [E in EntriesOf<C, K> as E extends { readonly topic: infer T extends string } ? T : never]: E;
};

/** One of the types that an entry carries for the compiler. */
type TypeOf<E, P extends string> = E extends { readonly '~types'?: { readonly [Q in P]: infer V } | undefined }
  ? V
  : unknown;

/** The topics of one kind. None without a contract: the untyped overloads apply then. */
export type TopicOf<C, K extends EntryKind> = keyof EntryMap<C, K>;

/** The body of a topic, as the client has it. */
export type BodyOf<C, K extends EntryKind, T extends TopicOf<C, K>> = TypeOf<EntryMap<C, K>[T], 'body'>;

/** The reply of a request, or of a call. */
export type ReplyOf<C, K extends EntryKind, T extends TopicOf<C, K>> = TypeOf<EntryMap<C, K>[T], 'reply'>;

/** An item of a stream. */
export type ItemOf<C, T extends TopicOf<C, 'stream'>> = TypeOf<EntryMap<C, 'stream'>[T], 'item'>;

/** The error codes that a contract declares for a request, stream or call. */
export type ErrorCodeOf<C, T extends TopicOf<C, 'request' | 'stream' | 'call'>> = TypeOf<
  EntryMap<C, 'request' | 'stream' | 'call'>[T],
  'code'
> &
  string;

/** Body and options of a call; the body may be left out where it may be `undefined`. */
export type Arguments<Body, Options> = undefined extends Body
  ? [body?: Body, options?: Options]
  : [body: Body, options?: Options];
