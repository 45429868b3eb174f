import { fileURLToPath } from 'node:url';
import { Logger } from '@nestjs/common';

/** Copies of the package share nothing but the global object. */
const COPIES = Symbol.for('nestgate:worker-copies');

/**
 * Logs an error when another copy of this package is loaded in the process. Nest takes the classes of two copies for different
 * providers, and says "can't resolve GatewayApi" without a reason.
 * @param url `import.meta.url` of the file that calls it.
 */
export function noteCopy(url: string): void {
  // The same file, loaded again by a test runner or a development server, is the same copy.
  const path = pathOf(url);
  const copies = ((globalThis as { [COPIES]?: Set<string> })[COPIES] ??= new Set());
  if (copies.has(path)) return;
  copies.add(path);
  if (copies.size === 1) return;
  new Logger('NestGate').error(
    `${copies.size} copies of @nestgate/worker are loaded: ${[...copies].join(', ')}. What one copy exports cannot be injected ` +
      'from the other. Install one version of all @nestgate packages; `npm ls @nestgate/worker` shows who needs which.',
  );
}

function pathOf(url: string): string {
  const [address = url] = url.split('?');
  return address.startsWith('file:') ? fileURLToPath(address) : address;
}
