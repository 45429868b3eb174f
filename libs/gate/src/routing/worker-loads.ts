import { loadContract, PendingCall, type Peer } from '@nestgate/link/internal';

/** Answers are asked for at most this often, in milliseconds: while clients come that need a worker, and not otherwise. */
const ASK_MS = 500;
/** How long an answer is true, in milliseconds. */
const TRUE_MS = 5_000;
/** A worker that has not answered after so long is asked again, in milliseconds. */
const ANSWER_MS = 5_000;
/** Less work of all workers together is taken for so much: with little to do, clients alone decide. */
const LEAST_WORK = 200;
/** An idle client is less to a worker than one that sends: work counts so much more than clients. */
const WORK_WEIGHT = 2;

/** How busy a worker is, as its gate sees it. */
export interface WorkerLoad {
  /** Frames that it has not handled yet: those of this gate now, or those of all gates when it was asked last if that is more. */
  readonly requests: number;
  /** How long it took, or takes, to answer when it was asked last, in milliseconds; 0 when that is not known (any more). */
  readonly delayMs: number;
}

/** What is known of one worker. */
interface Reading {
  /** When the question was sent that has no answer yet; `undefined` when none is on its way. */
  askedAt: number | undefined;
  answeredAt: number;
  delayMs: number;
  tasks: number;
}

/**
 * How busy the workers are that a gate may choose from. Nothing is measured on the way of a frame: the unanswered requests of this gate are
 * counted anyway, and workers are asked for the rest while clients come that have no worker yet.
 */
export class WorkerLoads {
  private readonly readings = new Map<Peer, Reading>();
  private lastAskedAt = -Infinity;

  /** Asks these workers, unless they were asked a moment ago. */
  refresh(workers: readonly Peer[]): void {
    const now = performance.now();
    if (now - this.lastAskedAt < ASK_MS) return;
    this.lastAskedAt = now;
    for (const worker of workers) this.ask(worker, now);
  }

  of(worker: Peer): WorkerLoad {
    const { size } = worker.requests;
    const reading = this.readings.get(worker);
    if (!reading) return { requests: size, delayMs: 0 };
    const now = performance.now();
    const isTrue = now - reading.answeredAt < TRUE_MS;
    const waited = reading.askedAt === undefined ? 0 : now - reading.askedAt;
    return {
      requests: isTrue ? Math.max(size, reading.tasks) : size,
      delayMs: Math.max(waited, isTrue ? reading.delayMs : 0),
    };
  }

  /** Forgets the workers that are not among these. */
  retain(workers: ReadonlySet<Peer>): void {
    for (const worker of this.readings.keys()) if (!workers.has(worker)) this.readings.delete(worker);
  }

  private ask(worker: Peer, now: number): void {
    let reading = this.readings.get(worker);
    if (!reading) {
      reading = { askedAt: undefined, answeredAt: -Infinity, delayMs: 0, tasks: 0 };
      this.readings.set(worker, reading);
    }
    if (reading.askedAt !== undefined) return;
    reading.askedAt = now;
    const call = new PendingCall(loadContract.load);
    worker.request(loadContract.load, undefined, call, now + ANSWER_MS);
    const asked = reading;
    call.promise.then(
      tasks => {
        asked.answeredAt = performance.now();
        asked.delayMs = asked.answeredAt - now;
        asked.tasks = tasks;
        asked.askedAt = undefined;
      },
      // It is gone, too late, or of a version that does not know the question.
      () => (asked.askedAt = undefined),
    );
  }
}

/** A worker that may be chosen, with what speaks against it. */
export interface Candidate extends WorkerLoad {
  readonly clients: number;
}

/**
 * The place of the candidate to choose; -1 without any. A candidate's work is what a new frame would find there: unanswered frames times the
 * delay. Its load is its share of the clients plus {@link WORK_WEIGHT} times its share of the work of all candidates. The smallest load wins, and of
 * equal ones the first.
 */
export function leastLoadedOf(candidates: readonly Candidate[]): number {
  let [clients, work] = [0, 0];
  for (const each of candidates) {
    clients += each.clients;
    work += workOf(each);
  }
  let best = -1;
  let least = Infinity;
  for (const [place, each] of candidates.entries()) {
    const load = each.clients / Math.max(1, clients) + (WORK_WEIGHT * workOf(each)) / Math.max(LEAST_WORK, work);
    if (load >= least) continue;
    best = place;
    least = load;
  }
  return best;
}

/** Without frames a long delay counts too: something else keeps the worker busy. */
function workOf({ requests, delayMs }: WorkerLoad): number {
  return (requests + 1) * (delayMs + 1);
}
