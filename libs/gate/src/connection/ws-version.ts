import { createRequire } from 'node:module';

/** The oldest `ws` whose server bounds fragments and pongs that a client does not read. */
const WANTED: readonly [major: number, minor: number] = [8, 23];

/**
 * Checks the version of the `ws` that this package resolves. `@nestjs/platform-ws` pins an older one for itself, and an
 * `overrides` entry of the application can put that one here too.
 * @throws {Error} naming the version that was found and the one that is wanted.
 */
export function assertWsVersion(found: string | undefined = installedVersion()): void {
  const [major = 0, minor = 0] = (found ?? '').split('.').map(Number);
  if (major > WANTED[0] || (major === WANTED[0] && minor >= WANTED[1])) return;
  throw new Error(
    `@nestgate/gate needs ws >= ${WANTED.join('.')}.0, and found ${found ?? 'none'}. Older versions let a client that does ` +
      'not read grow the memory of the gate. Remove what pins ws (overrides, resolutions), or install a newer one',
  );
}

function installedVersion(): string | undefined {
  try {
    return (createRequire(import.meta.url)('ws/package.json') as { version: string }).version;
  } catch {
    return undefined;
  }
}
