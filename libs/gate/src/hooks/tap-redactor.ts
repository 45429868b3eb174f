import { Injectable } from '@nestjs/common';

/** A body that an operator who taps a session is about to see. */
export interface TappedBody {
  readonly clientId: string;
  /** `''` for a guest. */
  readonly uid: string;
  readonly topic: string;
  /** Whether the client has sent it, or receives it. */
  readonly way: 'in' | 'out';
  /** The parsed JSON. It is the tap's own: a change reaches nobody else. */
  readonly body: unknown;
}

/** Decides what operators see of the bodies of a tapped session. It must be synchronous. What it throws hides the body. */
export abstract class TapRedactor {
  /** What is shown in place of the body; `undefined` shows nothing. */
  abstract redact(tapped: TappedBody): unknown;
}

/** Keys whose values are nobody's business. */
const SECRET_KEY = /pass(?:word|phrase|wd)?$|secret|token|authori[sz]ation|cookie|credential|api-?_?key|^pin$|^otp$/i;
const HIDDEN = '[hidden]';
/** Deeper parts are hidden. */
const MAX_DEPTH = 32;

/** The default: hides the values of keys such as `password`, `token` and `secret`, at any depth. */
@Injectable()
export class UsualTapRedactor extends TapRedactor {
  override redact({ body }: TappedBody): unknown {
    return hidden(body, 0);
  }
}

function hidden(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth === MAX_DEPTH) return HIDDEN;
  if (Array.isArray(value)) return value.map(each => hidden(each, depth + 1));
  const entries = Object.entries(value).map(([key, each]) => [
    key,
    SECRET_KEY.test(key) ? HIDDEN : hidden(each, depth + 1),
  ]);
  return Object.fromEntries(entries) as unknown;
}
