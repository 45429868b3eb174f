import type { AnySchema, SchemaIssue, SchemaResult } from '@nestgate/protocol';

/** Issues that an error names, and the longest path and message of one, in UTF-16 units. */
const MAX_ISSUES = 20;
const MAX_PATH = 128;
const MAX_MESSAGE = 256;

/** What is wrong with a part of a value: the `details` of `BAD_REQUEST`. */
export interface IssueDetail {
  /** Where it is, such as `items[2].name`; `''` for the whole value. */
  readonly path: string;
  readonly message: string;
}

/**
 * Validates a value. A promise only where the schema returns one.
 * @throws what `refuse` makes of the issues; with a promise, it rejects.
 */
export function validated(
  schema: AnySchema,
  value: unknown,
  refuse: (issues: readonly IssueDetail[]) => Error,
): unknown {
  const result = schema['~standard'].validate(value);
  if (isPromise(result)) return Promise.resolve(result).then(settled => valueOf(settled, refuse));
  return valueOf(result, refuse);
}

/** Not `instanceof`: the promise may be one of another realm. */
function isPromise(
  result: SchemaResult<unknown> | PromiseLike<SchemaResult<unknown>>,
): result is PromiseLike<SchemaResult<unknown>> {
  return 'then' in result;
}

function valueOf(result: SchemaResult<unknown>, refuse: (issues: readonly IssueDetail[]) => Error): unknown {
  if (result.issues) throw refuse(issueDetails(result.issues));
  return result.value;
}

/** Issues as clients get them: bounded, since what a client sends decides how many there are, and how long. */
export function issueDetails(issues: readonly SchemaIssue[]): readonly IssueDetail[] {
  const details = issues.slice(0, MAX_ISSUES).map(({ path, message }) => ({
    path: cut(pathText(path ?? []), MAX_PATH),
    message: cut(message, MAX_MESSAGE),
  }));
  const more = issues.length - details.length;
  return more > 0 ? [...details, { path: '', message: `${more} more issues` }] : details;
}

/** The issues in one line, for the log. */
export function issueText(issues: readonly IssueDetail[]): string {
  return issues.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ');
}

function pathText(path: NonNullable<SchemaIssue['path']>): string {
  let text = '';
  for (const segment of path) {
    if (text.length > MAX_PATH) break;
    const key = typeof segment === 'object' ? segment.key : segment;
    if (typeof key === 'number' || /^\d+$/.test(String(key))) text += `[${String(key)}]`;
    else text += text === '' ? String(key) : `.${String(key)}`;
  }
  return text;
}

function cut(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit - 1)}…`;
}
