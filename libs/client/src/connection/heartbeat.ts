import type { Environment, Timer } from './environment.js';

/** How long a pong may take after a quiet interval. */
const PONG_MS = 10_000;
/** How long it may take after the page became visible, the network changed, or the machine slept. */
const PROBE_MS = 2_000;
/** A timer that is late by more than this part of a heartbeat shows that the machine has slept. */
const JUMP = 0.5;

/** The failure detector of a connection. */
export interface Heartbeat {
  /** A frame has arrived. */
  heard(): void;
  /** Requires a pong within two seconds. While a ping is unanswered, the earlier deadline counts. */
  probe(): void;
  /** Probes if the wall clock shows that the machine has slept. Called before a frame is sent. */
  check(): void;
  /** The page became hidden: stops waiting for a pong. */
  hide(): void;
  stop(): void;
}

/**
 * A server that disappears without a close frame leaves the socket open for minutes. Any frame proves that the connection is alive. A ping
 * is sent only after a quiet interval. A hidden page waits for no pong, because its timers are throttled.
 */
export function createHeartbeat(
  environment: Environment,
  intervalMs: number,
  ping: () => void,
  dead: () => void,
): Heartbeat {
  let timer: Timer;
  let pongTimer: Timer;
  /** The deadline of the awaited pong. */
  let pongAt = Infinity;
  // No frame since the last tick, besides the pong of a ping, and none since the last ping. Flags, so that no clock is read for each frame.
  let isQuiet = true;
  let isUnanswered = false;
  let wallAt = environment.wallNow();

  const hide = (): void => {
    environment.clearTimeout(pongTimer);
    pongAt = Infinity;
  };
  const ask = (patienceMs: number): void => {
    const deadline = environment.now() + patienceMs;
    if (deadline >= pongAt || environment.isHidden()) return;
    // While a ping is unanswered, only its deadline becomes earlier.
    if (pongAt === Infinity) {
      isUnanswered = true;
      ping();
    }
    hide();
    pongAt = deadline;
    pongTimer = environment.setTimeout(() => {
      pongAt = Infinity;
      if (isUnanswered) dead();
    }, patienceMs);
  };
  const check = (): void => {
    const now = environment.wallNow();
    if (now - wallAt <= (JUMP + 1) * intervalMs) return;
    wallAt = now;
    ask(PROBE_MS);
  };
  const tick = (): void => {
    timer = environment.setTimeout(tick, intervalMs);
    check();
    wallAt = environment.wallNow();
    if (isQuiet) ask(Math.min(PONG_MS, intervalMs));
    isQuiet = true;
  };
  timer = environment.setTimeout(tick, intervalMs);

  return {
    heard() {
      // The pong says nothing about the next interval.
      isQuiet = isUnanswered;
      isUnanswered = false;
    },
    probe: () => ask(PROBE_MS),
    check,
    hide,
    stop() {
      hide();
      environment.clearTimeout(timer);
    },
  };
}
