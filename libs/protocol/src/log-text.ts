/**
 * Text of clients and peers on its way into a log. A line must stay one line, a terminal must not take it for commands, and
 * nobody should be able to fill a disk with one message.
 */

/** Characters of a text that a log line shows unless told otherwise. */
export const MAX_LOG_TEXT = 300;
/** Frames of a stack that are kept. */
const MAX_FRAMES = 20;

/**
 * What is not printed as it is: control characters (line ends and ESC among them), DEL and C1, what separates lines elsewhere,
 * what turns the direction of text, what cannot be seen, and halves of characters.
 */
const UNSAFE =
  // oxlint-disable-next-line no-control-regex -- they are what this is about
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** A text for a log line: what is {@link UNSAFE} escaped as `\u001b`, and no longer than `max` characters of the text. */
export function logText(value: unknown, max: number = MAX_LOG_TEXT): string {
  const text = typeof value === 'string' ? value : textOf(value);
  const shown = text.length > max ? text.slice(0, max) : text;
  const clean = shown.replace(UNSAFE, escape);
  return shown === text ? clean : `${clean}… (${text.length - max} more)`;
}

/** A JSON text for a log line: what is {@link UNSAFE} in its strings written as the escapes of JSON, so that it parses to the same. */
export function logJson(json: string): string {
  return json.replace(UNSAFE, escape);
}

/** What a log shows of an error: its name and message on one line, and its stack, as far as it is one. */
export interface ErrorText {
  readonly line: string;
  /** The line again, and the frames below it; `undefined` when there are none. */
  readonly stack: string | undefined;
}

/**
 * An error for a log. Only its name, message and stack: its other properties may hold anything, such as the arguments of a
 * command with a password among them.
 */
export function errorText(error: unknown): ErrorText {
  if (!(error instanceof Error)) return { line: logText(error), stack: undefined };
  const message = typeof error.message === 'string' ? error.message : '';
  const { cause } = error;
  const line = logText(error.name || 'Error', 64) + (message === '' ? '' : `: ${logText(message)}`);
  const why = cause instanceof Error && cause.message !== '' ? ` (because of ${logText(cause.message)})` : '';
  const frames = framesOf(error.stack, message);
  return { line: line + why, stack: frames.length === 0 ? undefined : [line + why, ...frames].join('\n') };
}

/** The frames stand after the message, which may hold lines that look like some. */
function framesOf(stack: unknown, message: string): string[] {
  if (typeof stack !== 'string') return [];
  const at = stack.indexOf(message);
  // The message has changed since: where it ends in the stack is not known.
  if (at < 0 || stack.slice(0, at).includes('\n')) return [];
  return stack
    .slice(at + message.length)
    .split('\n')
    .filter(frame => /^ +at /.test(frame))
    .slice(0, MAX_FRAMES)
    .map(frame => logText(frame));
}

/** A value that is no text; never throws, whatever it does when it is asked. */
function textOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  if (value instanceof Error) return errorText(value).line;
  try {
    return JSON.stringify(value) ?? 'an object';
  } catch {
    return 'an object';
  }
}

function escape(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/**
 * A URL for a log or an error: without what stands before an `@`, which may be a password, and without the values of its query
 * that are named like one. A password with an unescaped `/`, `?` or `@` in it is no reason to show the rest of it.
 */
export function urlForLog(url: string): string {
  const [, scheme = '', rest = url] = /^([a-z][a-z0-9+.-]*:(?:\/\/)?)([\s\S]*)$/i.exec(url) ?? [];
  const at = rest.lastIndexOf('@');
  const host = at < 0 ? rest : `…@${rest.slice(at + 1)}`;
  return logText(scheme + host.replace(/([?&][^=&]*(?:pass|secret|token|auth)[^=&]*=)[^&]*/gi, '$1…'));
}
