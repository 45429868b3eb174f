import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const KEY_BYTES = 32;
/** 22 characters of base64url. */
const TICKET_BYTES = 16;
/** So many generations behind the newest one are looked at. */
const MAX_UNCONFIRMED = 16;

/** Which tickets of a session are valid: those of the generations from `confirmed` to `generation`. */
export interface TicketState {
  /** Grows with each resume. */
  readonly generation: number;
  /** The newest one that the client is known to have. */
  readonly confirmed: number;
  /** What the tickets are made with, for a session that was born on another gate. */
  readonly key?: Buffer | undefined;
}

/**
 * The tickets of sessions: a MAC of the session's id and its generation, by a key of the session, which is a MAC of its id by a key of
 * this boot. None is stored. A session that moves to another gate takes its key along: its tickets stay valid there, and here too,
 * should the other gate die during the move. A new ticket is made with each resume; the one before stays valid until the client has
 * acknowledged something on the new connection, because the new one may not have arrived.
 */
export class Tickets {
  constructor(private readonly key: Buffer = randomBytes(KEY_BYTES)) {}

  /** What the tickets of a session of this gate are made with. */
  keyOf(sessionId: string): Buffer {
    return createHmac('sha256', this.key).update(sessionId).digest();
  }

  make(sessionId: string, { generation, key = this.keyOf(sessionId) }: Omit<TicketState, 'confirmed'>): string {
    return mac(key, sessionId, generation).toString('base64url');
  }

  /** The generation that a ticket is of; `undefined` when it is not valid. */
  check(ticket: unknown, sessionId: string, state: TicketState): number | undefined {
    const { generation, confirmed } = state;
    if (typeof ticket !== 'string' || ticket.length !== 22) return undefined;
    const given = Buffer.from(ticket, 'base64url');
    // Text that is no base64url decodes to less, or encodes to other text.
    if (given.length !== TICKET_BYTES || given.toString('base64url') !== ticket) return undefined;
    const key = state.key ?? this.keyOf(sessionId);
    const is = (one: number): boolean => timingSafeEqual(given, mac(key, sessionId, one));
    const oldest = Math.max(confirmed, generation - MAX_UNCONFIRMED);
    for (let one = generation; one >= oldest; one--) if (is(one)) return one;
    return confirmed < oldest && is(confirmed) ? confirmed : undefined;
  }
}

function mac(key: Buffer, sessionId: string, generation: number): Buffer {
  // A session id has no line end.
  return createHmac('sha256', key).update(`${sessionId}\n${generation}`).digest().subarray(0, TICKET_BYTES);
}
