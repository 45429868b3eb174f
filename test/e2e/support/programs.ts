import { execFileSync } from 'node:child_process';

/** Whether a program is on PATH: for tests that are left out without it. */
export function isThere(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
