import type { HttpOperationName } from '@nestgate/worker/internal';

/** How a command reaches the cluster. */
export interface TargetOptions {
  readonly url?: string | undefined;
  readonly key?: string | undefined;
  readonly link?: string | undefined;
  readonly secret?: string | undefined;
}

/** Where operations are run: the HTTP API of a node, or the link. */
export interface Target {
  /** Runs an operation; its result is the body of an answer of the HTTP API. @throws {GateError} */
  call<T = unknown>(name: HttpOperationName, args?: object): Promise<T>;
  /** Of a link: the configured gates that cannot be reached, each with the reason. */
  readonly unreached?: readonly string[];
  /** Of a NATS link: what the server has not permitted. */
  readonly denials?: readonly string[] | undefined;
  close(): Promise<void>;
}
