import { createInterface } from 'node:readline/promises';

/**
 * Whether the person at the terminal wants this. Without a terminal, or with `isSure`, nobody is asked: a script means what it says.
 */
export async function isConfirmed(question: string, isSure = false): Promise<boolean> {
  const { stdin, stderr } = process;
  if (isSure || !stdin.isTTY) return true;
  const terminal = createInterface({ input: stdin, output: stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}
