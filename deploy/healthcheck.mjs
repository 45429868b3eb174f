/**
 * Asks the app in this container for its health, at the path that is its argument, or else `/health`: ends with 0 when it
 * can serve, else with 1. While an app drains, that is 1. A script, because the image has neither curl nor wget.
 */
const TIMEOUT_MS = 4_000;

try {
  const url = `http://127.0.0.1:${process.env.NESTGATE_OPS_PORT || process.env.PORT || 3000}${process.argv[2] ?? '/health'}`;
  const { ok } = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  process.exit(ok ? 0 : 1);
} catch {
  process.exit(1);
}
