/**
 * Keeps private words out of docs, comments, log lines, error texts and test names. The glossary has the terms to use instead.
 * Prints each place with the suggestion, and fails when there is one.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What must not occur, and what to write instead. */
const WORDS = [
  [/\bwhoever\b/i, 'name the component: the caller, the sender, a client that …'],
  [/\b[Ss]omebody\b|\b[Aa]nybody\b/, 'name the component: a caller, a client, another node'],
  [/\banew\b/i, 'again'],
  [/\bof late\b/i, 'recently'],
  [/\b(told|tells?|telling) of\b/i, 'is notified of, receives, reports'],
  [/\bin hand\b/i, 'current, in flight'],
  [/\b(has|have|had) the say\b/i, 'decides'],
  [/\b(goes|go|went) without\b/i, 'has no, works without'],
  [/\bgood-?bye\b|\bfarewells?\b/i, 'leave message, pending close, close message'],
  [/\blast word\b/i, 'decides last'],
  [/\bfor ever\b/i, 'forever, without limit'],
  [/\brosters?\b|\bcourting\b|\btwins?\b/i, 'peer table, dialing, duplicate'],
  [/\broads?\b/i, 'path'],
  [/\btakers?\b/i, 'consumer'],
  [/\bpatience\b/i, 'timeout, time limit'],
  [/\bstrangers?\b|\bcrowded\b/i, 'unauthenticated connection, overflow'],
  [/\b(Nats(Room|Line|Interest|Claim)|HookPatience|GateTrust|OwnQueue)\b/, 'see docs/glossary.md'],
];
/** Places where a word stays, each for a reason. */
const ALLOWED = [
  // History is not rewritten; the list itself names the words; the lock file has names of packages.
  /^(CHANGELOG\.md|scripts\/check-words\.mjs|package-lock\.json)$/,
];
const FILES = /\.(ts|mjs|cjs|js|md|ya?ml|json|html|css|conf|cfg)$/;

const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { encoding: 'utf8' })
  .trimEnd()
  .split('\n');
let found = 0;
for (const file of files) {
  if (!FILES.test(file) || ALLOWED.some(pattern => pattern.test(file))) continue;
  for (const [index, line] of readFileSync(file, 'utf8').split('\n').entries()) {
    for (const [word, instead] of WORDS) {
      const hit = word.exec(line)?.[0];
      if (hit === undefined) continue;
      console.log(`${file}:${index + 1}: "${hit}": write: ${instead}`);
      found++;
    }
  }
}
if (found > 0) console.log(`${found} private words; see docs/glossary.md`);
process.exitCode = found > 0 ? 1 : 0;
