import { Injectable } from '@nestjs/common';
import type { Session } from '@nestgate/worker';

/** A worker that can handle a frame. */
export interface WorkerCandidate {
  /** Its node id. */
  readonly id: string;
  /** How many clients of this gate it has. */
  readonly clients: number;
  /** Frames that it has not handled yet: of this gate, or of all gates when it was asked last if that is more. */
  readonly requests: number;
  /** How long it took to answer this gate when it was asked last, within 5 s, in milliseconds; 0 when that is not known. */
  readonly delayMs: number;
}

/** The frame for which a worker is chosen. */
export interface WorkerQuestion {
  readonly session: Session;
  readonly topic: string;
  /** The part of the topic before the first `/`. */
  readonly module: string;
  /** The workers that serve the module; at least one. */
  readonly workers: readonly WorkerCandidate[];
  /** The worker that handled the client's last frame, whether it serves the module or not. */
  readonly current: string | undefined;
}

/**
 * Decides which worker handles a client's frame. Frames of one client stay in order only as long as they go to one worker.
 *
 * It is called for every frame, so it must be synchronous and fast. An exception is logged, and the default rule applies.
 */
export abstract class WorkerChoice {
  /** The id of one of the workers; `undefined`, or any other id, selects the default rule. */
  abstract choose(question: WorkerQuestion): string | undefined;
}

/** The default: the pinned worker, else the one the client used last, else the least loaded one. */
@Injectable()
export class UsualWorkerChoice extends WorkerChoice {
  override choose(): undefined {}
}
