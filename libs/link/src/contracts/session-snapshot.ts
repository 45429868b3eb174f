/** What a session may hold under a key. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

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
