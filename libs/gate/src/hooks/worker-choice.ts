import { Injectable } from '@nestjs/common';
import type { Session } from '@nestgate/worker';

/** A worker that could take a frame. */
export interface WorkerCandidate {
  /** Its node id. */
  readonly id: string;
  /** How many clients of this gate it has. */
  readonly clients: number;
}

/** The frame that a worker is wanted for. */
export interface WorkerQuestion {
  readonly session: Session;
  readonly topic: string;
  /** What stands before the first `/` of the topic. */
  readonly module: string;
  /** The workers that serve the module; at least one. */
  readonly workers: readonly WorkerCandidate[];
  /** The worker that handled the client's last frame, whether it serves the module or not. */
  readonly current: string | undefined;
}

/**
 * Decides which worker handles a client's frame. Frames of one client stay in order only as long as they go to one worker.
 *
 * It is asked for every frame, so it should be quick; it cannot wait for anything. What it throws is logged, and the
 * usual rule decides.
 */
export abstract class WorkerChoice {
  /** The id of one of the workers; `undefined`, or any other id, leaves the choice to the usual rule. */
  abstract choose(question: WorkerQuestion): string | undefined;
}

/** The default: the pinned server, else the one the client used last, else the one with the fewest clients. */
@Injectable()
export class UsualWorkerChoice extends WorkerChoice {
  override choose(): undefined {}
}
