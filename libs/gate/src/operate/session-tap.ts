import type { TapAnswer, TapFrame } from '@nestgate/link';
import { type Body, BodyKind } from '@nestgate/protocol';
import { bodyValue } from '../body-value.js';
import type { ClientAgent } from '../client/client-agent.js';
import type { TapRedactor } from '../hooks/tap-redactor.js';

/** How long a session is tapped, in milliseconds. */
export const TAP_MS = 60_000;
/** Frames in a second; more are counted, and not kept. */
const MAX_PER_SECOND = 50;
/** Frames that wait to be fetched; older ones are dropped, and counted. */
const MAX_KEPT = 500;
/** Characters of a body. */
const MAX_SHOWN = 1_024;
/** Larger bodies are not parsed for a tap. */
const MAX_PARSED_BYTES = 65_536;

/** What a frame is, before its body has been made readable. */
export interface SeenFrame {
  readonly way: 'in' | 'out';
  readonly kind: TapFrame['kind'];
  readonly topic: string | undefined;
  readonly id: number;
  readonly bytes: number;
  readonly body?: Body | undefined;
  /** The code of an error. */
  readonly code?: string | undefined;
}

/** What one operator sees of a session, or of several: the last frames, bounded in number, size and time. */
export class SessionTap {
  /** Whether it records no more. */
  isOver = false;
  /** Of a tap without cursors: the number of the last frame that was fetched. */
  taken = 0;
  readonly endsAt = performance.now() + TAP_MS;
  private frames: TapFrame[] = [];
  private last = 0;
  private skipped = 0;
  private second = 0;
  private inSecond = 0;

  /** `topic`: a topic, or a module, whose frames alone are recorded. `namesClients`: whether frames say whose they are. */
  constructor(
    readonly id: number | string,
    private readonly topic: string | undefined,
    private readonly namesClients: boolean,
    private readonly redactor: TapRedactor,
    private readonly onDefect: (error: unknown) => void,
  ) {}

  /** Records a frame of a client. Never throws: the frame itself has to go on. */
  note(seen: SeenFrame, agent: ClientAgent): void {
    if (this.isOver || !this.wants(seen.topic)) return;
    try {
      if (!this.hasRoom()) {
        this.skipped++;
        return;
      }
      const { way, kind, topic, id, bytes, code } = seen;
      const clientId = this.namesClients ? agent.sessionState.origin.sessionId : undefined;
      const n = ++this.last;
      this.frames.push({ n, at: Date.now(), way, kind, topic, id, bytes, code, clientId, ...this.shown(seen, agent) });
      if (this.frames.length <= MAX_KEPT) return;
      this.frames.shift();
      this.skipped++;
    } catch (error) {
      this.onDefect(error);
    }
  }

  /** The frames after the one with this number; those up to it are forgotten. */
  read(after: number): TapAnswer {
    this.frames = this.frames.filter(({ n }) => n > after);
    const { frames, skipped, isOver } = this;
    const endsInMs = isOver ? 0 : Math.max(0, Math.round(this.endsAt - performance.now()));
    return { frames, cursor: `${this.id}-${this.last}`, skipped, endsInMs, isOver };
  }

  private wants(topic: string | undefined): boolean {
    const { topic: wanted } = this;
    return wanted === undefined || topic === wanted || topic?.startsWith(`${wanted}/`) === true;
  }

  private hasRoom(): boolean {
    const second = Math.floor(performance.now() / 1_000);
    if (second !== this.second) {
      this.second = second;
      this.inSecond = 0;
    }
    return this.inSecond++ < MAX_PER_SECOND;
  }

  private shown({ body, topic = '', way }: SeenFrame, agent: ClientAgent): Pick<TapFrame, 'body' | 'isCut'> {
    if (!body || body.kind === BodyKind.none) return {};
    const { length } = body.bytes;
    if (body.kind === BodyKind.bytes || length > MAX_PARSED_BYTES) return { body: `[${length} bytes]` };
    let parsed: unknown;
    try {
      parsed = bodyValue(body);
    } catch {
      return { body: '[malformed]' };
    }
    const { userId, origin } = agent.sessionState;
    let text: string | undefined;
    try {
      const redacted = this.redactor.redact({ clientId: origin.sessionId, uid: userId, topic, way, body: parsed });
      text = JSON.stringify(redacted) as string | undefined;
    } catch (error) {
      this.onDefect(error);
      return { body: '[hidden]' };
    }
    if (text === undefined) return {};
    return text.length > MAX_SHOWN ? { body: text.slice(0, MAX_SHOWN), isCut: true } : { body: text };
  }
}
