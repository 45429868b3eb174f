/** Examples of `docs/gate.md` about who may stay. See `gate-examples.ts`. */
import { Controller, Inject, Injectable, UnauthorizedException } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { HandshakeHandler, HandshakeRequest } from '@nestgate/gate';
import { ClientSession, GateError, OnTopic, Session } from '@nestgate/worker';

/** What a ticket says. */
export interface Ticket {
  readonly user: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** Tickets by their text. */
export class Tickets {
  readonly known = new Map<string, Ticket>();

  async check(text: string | undefined): Promise<Ticket> {
    const ticket = this.known.get(text ?? '');
    if (!ticket) throw new UnauthorizedException();
    return ticket;
  }
}

// example: expiry
@Injectable()
export class TicketHandshake extends HandshakeHandler {
  constructor(@Inject(Tickets) private readonly tickets: Tickets) {
    super();
  }

  async handshake({ headers }: HandshakeRequest) {
    const { user, issuedAt, expiresAt } = await this.tickets.check(headers.authorization); // or UnauthorizedException
    return { userId: user, authIssuedAt: issuedAt, authExpiresAt: expiresAt }; // ms since the epoch
  }
}

@Controller()
export class TicketTopics {
  constructor(@Inject(Tickets) private readonly tickets: Tickets) {}

  @OnTopic('tickets/renew')
  async renew(@Payload('ticket') ticket: string, @ClientSession() session: Session) {
    const { user, issuedAt, expiresAt } = await this.tickets.check(ticket);
    if (user !== session.userId) throw new GateError('FORBIDDEN', 'This is not your ticket');
    await session.toBind(user, { issuedAt, expiresAt });
    return { expiresAt };
  }
}
// end
