/** What a session may hold under a key. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/**
 * `T`, when JSON can carry it: an interface, a class without methods, optional properties, what has a `toJSON`. Where it cannot, the
 * property at fault is `never`: a function, a BigInt, a symbol, a Map, a promise, `unknown`. A property that is `undefined` is left out,
 * as JSON does. For parameters, as in `toSet<T>(key: string, value: T & JsonInput<T>)`.
 */
export type JsonInput<T> = T extends undefined ? never : JsonField<T>;

type JsonField<T> = T extends JsonValue | undefined
  ? T
  : T extends { toJSON(...args: never[]): unknown }
    ? T
    : T extends (...args: never[]) => unknown
      ? never
      : T extends object
        ? { readonly [K in keyof T]: JsonField<T[K]> }
        : never;

/** As {@link JsonInput}, for the settings of a session: an object with keys. */
export type SettingsInput<T> = T extends readonly unknown[] ? never : JsonInput<T>;

/** The settings of a session by key. Keys are free text; treat it as data, and copy it into a Map to look things up. */
export type Settings = Readonly<Record<string, JsonValue>>;

/** A session at one moment, as it travels between nodes. */
export interface SessionSnapshot {
  /** The client id. */
  readonly sessionId: string;
  /** The id of the gate that holds the client. */
  readonly serverId: string;
  readonly ip: string;
  /** How the client is connected: `ws`, `tcp`, or what a custom acceptor says. */
  readonly network: string;
  /** When the client connected, in milliseconds since the epoch. */
  readonly connectedAt: number;
  /** The trace the connection belongs to, as a W3C `traceparent`: the handshake's own, or one made for it. */
  readonly traceParent: string;
  /** `''` for a guest. */
  readonly userId: string;
  readonly settings: Settings;
  /** Grows with every change on the gate; a copy with a smaller one is older. */
  readonly version: number;
}
