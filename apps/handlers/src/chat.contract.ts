import { contract, push, request } from '@nestgate/contract';
import * as v from 'valibot';

/** How long a text of the chat may be, in UTF-16 units. */
const MAX_TEXT = 4_000;
/** Longest name or room in UTF-16 units; the gate checks bytes too. */
const MAX_NAME = 128;

const name = v.pipe(v.string(), v.minLength(1), v.maxLength(MAX_NAME));
const text = v.pipe(v.string(), v.maxLength(MAX_TEXT));
const inRoom = v.object({ room: name });
const delivered = v.object({ delivered: v.number() });

/** The topics of the chat: what its handlers, its pushes and its page share. The page needs the types only: `import type`. */
export const chat = contract('chat', {
  login: request({ body: v.object({ name }), reply: v.object({ uid: v.string() }) }),
  join: request({ body: inRoom, reply: v.object({ room: v.string(), members: v.number() }) }),
  leave: request({ body: inRoom, reply: v.object({ ok: v.literal(true) }) }),
  say: request({ body: v.object({ room: name, text }), reply: delivered }),
  whisper: request({ body: v.object({ to: name, text }), reply: delivered }),
  rooms: request({ reply: v.object({ rooms: v.record(v.string(), v.number()) }) }),
  who: request({ body: inRoom, reply: v.object({ uids: v.array(v.string()) }) }),
  joined: push({ body: v.object({ room: v.string(), name: v.string() }) }),
  said: push({ body: v.object({ room: v.string(), from: v.string(), text: v.string(), at: v.number() }) }),
  whispered: push({ body: v.object({ from: v.string(), text: v.string() }) }),
});
