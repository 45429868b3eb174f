import { Injectable } from '@nestjs/common';
import type { RevocationNotice } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { GateCounters } from '../gate-counters.js';

/** The reason with which clients of a revoked uid are closed. */
export const REVOKED = 'revoked';
/** Uids that are remembered at most. */
export const MAX_REVOCATIONS = 50_000;
/** How often all are looked at when there is no room, in milliseconds: each look takes about a millisecond. */
const PURGE_MS = 1_000;

/** Credentials that were revoked before they were shown. */
export class RevokedError extends GateError {
  constructor() {
    super('UNAUTHORIZED', 'The credentials have been revoked');
  }
}

/** What is known of the credentials with which a client is to be bound. */
export interface ShownCredentials {
  /** When they were issued, in milliseconds since the epoch. */
  readonly issuedAt?: number;
  /** Since when they have been looked at, as `performance.now()`. */
  readonly since: number;
}

interface Revocation {
  readonly before: number;
  /** Time of arrival, by `performance.now()` of this gate. */
  readonly saidAt: number;
  /** Until when it is remembered, as `performance.now()`. */
  readonly until: number;
}

/**
 * The revoked uids. Closing the clients of a uid is not enough: a bind may be in flight, and a stolen token can be used until it expires.
 * Each gate therefore stores revocations for a time. At the bound the oldest one is dropped, and counted.
 */
@Injectable()
export class Revocations {
  private readonly entries = new Map<string, Revocation>();
  /** When all were looked at last, as `performance.now()`. */
  private purgedAt = -Infinity;

  constructor(private readonly counters: GateCounters) {}

  get size(): number {
    return this.entries.size;
  }

  /** Remembers a revocation. False when one that is as late is known already. */
  add({ userId, before, leftMs, agoMs = 0 }: RevocationNotice): boolean {
    const now = performance.now();
    const known = this.live(userId, now);
    const until = Math.max(now + leftMs, known?.until ?? 0);
    if (known && known.before >= before) {
      this.entries.set(userId, { ...known, until });
      return false;
    }
    this.entries.delete(userId);
    if (this.entries.size >= MAX_REVOCATIONS) this.makeRoom(now);
    this.entries.set(userId, { before, saidAt: now - agoMs, until });
    return true;
  }

  /**
   * Refuses credentials that were issued before a revocation. Credentials without an issue time are refused when they arrived before
   * the revocation.
   * @throws {RevokedError}
   */
  check(userId: string, { issuedAt, since }: ShownCredentials): void {
    const entry = this.live(userId, performance.now());
    if (!entry) return;
    if (issuedAt === undefined ? since > entry.saidAt : issuedAt >= entry.before) return;
    this.counters.add('binds_refused', REVOKED);
    throw new RevokedError();
  }

  /** All stored revocations, for a gate that lacks them. */
  notices(): RevocationNotice[] {
    const now = performance.now();
    const notices: RevocationNotice[] = [];
    for (const [userId, { before, saidAt, until }] of this.entries) {
      if (until > now) notices.push({ userId, before, leftMs: until - now, agoMs: now - saidAt });
    }
    return notices;
  }

  private live(userId: string, now: number): Revocation | undefined {
    const entry = this.entries.get(userId);
    if (!entry || entry.until > now) return entry;
    this.entries.delete(userId);
    return undefined;
  }

  private makeRoom(now: number): void {
    if (now - this.purgedAt >= PURGE_MS) {
      this.purgedAt = now;
      for (const [userId, { until }] of this.entries) if (until <= now) this.entries.delete(userId);
    }
    const [oldest] = this.entries.keys();
    if (this.entries.size < MAX_REVOCATIONS || oldest === undefined) return;
    this.entries.delete(oldest);
    this.counters.add('revocations_forgotten', 'full');
  }
}
