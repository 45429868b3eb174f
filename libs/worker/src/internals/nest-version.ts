import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The version of a package of Nest as this package resolves it, for messages. */
export function nestVersion(name: string): string {
  try {
    // Not all of them export their package.json.
    const folder = dirname(createRequire(import.meta.url).resolve(name));
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
    return `${name} ${version}`;
  } catch {
    return `${name} (unknown version)`;
  }
}

/**
 * A part of a package that this one cannot do without.
 * @throws {Error} naming the version of the package, where it has no such part.
 */
export function neededPart<M extends object, K extends keyof M>(name: string, module: M, part: K): M[K] {
  if (module[part] !== undefined) return module[part];
  throw new Error(
    `nestgate does not know ${nestVersion(name)}: its ${String(part)} is missing. Install a version 12.x that has it`,
  );
}
