import { setTimeout as delay } from 'node:timers/promises';
import { waitUntil } from '@nestgate/testing';
import { GROUP, TOPIC } from './endless-sender.js';
import { CallFailed, LedgerClient } from './ledger-client.js';
import type { OwedConnection, PushBalance } from './push-balance.js';

/** How long a receiver rests before it tries again, in milliseconds. */
const RETRY_MS = 40;

/** How long one that leaves waits for what it is owed, in milliseconds. */
const LEAVE_MS = 1_000;

/** Where a receiver connects. The port is asked for each time: a gate may have been replaced. */
export interface ReceiverPlace {
  /** The gate's number, as the books have it. */
  readonly gate: string;
  readonly port: () => number;
  /** It leaves after so many milliseconds, and comes back at once. @defaultValue never */
  readonly leavesAfterMs?: number;
}

/** A user whose client comes back whenever its connection has ended: bound by the handshake, and in the group by a worker. */
export class ReturningReceiver {
  /** Errors with which joining the group was answered, by code. */
  readonly refusals: Record<string, number> = {};
  /** Codes with which its connections were closed, by others. */
  readonly closes: Record<string, number> = {};
  connection: OwedConnection | undefined;
  private client: LedgerClient | undefined;
  private isRunning = true;
  private readonly ended: Promise<void>;

  constructor(
    readonly uid: string,
    readonly place: ReceiverPlace,
    private readonly balance: PushBalance,
  ) {
    this.ended = this.run();
  }

  /** Whether all that is pushed reaches it. */
  get isWhole(): boolean {
    return this.connection?.isInGroup === true && this.connection.goneAt === undefined;
  }

  /** From now on nothing is owed to its connection: the test is about to end what it is connected to. */
  expectEnd(): void {
    if (this.connection) this.balance.noteGone(this.connection);
  }

  async stop(): Promise<void> {
    this.isRunning = false;
    this.expectEnd();
    this.client?.end();
    await this.ended;
  }

  private async run(): Promise<void> {
    while (this.isRunning) {
      await this.stay().catch(() => delay(RETRY_MS));
    }
  }

  /** Connects, joins, and stays until the connection has ended. @throws when it was not let in. */
  private async stay(): Promise<void> {
    const { balance, place, uid } = this;
    const early: unknown[] = [];
    let connection: OwedConnection | undefined;
    const prepare = (client: LedgerClient): void =>
      client.onPush(TOPIC, body => (connection ? balance.arrive(connection, body) : early.push(body)));
    const client = await LedgerClient.connect(place.port(), balance.log.stream.run, uid, { uid, prepare });
    const closed = new Promise<void>(resolve => client.socket.once('close', () => resolve()));
    if (!client.isOpen || !this.isRunning) {
      client.end();
      throw new Error('It is over already');
    }
    connection = this.connection = balance.connect(uid, client.clientId, place.gate);
    for (const body of early) balance.arrive(connection, body);
    this.client = client;
    const { leavesAfterMs } = place;
    const timer = leavesAfterMs === undefined ? undefined : setTimeout(() => void this.leave(), leavesAfterMs);
    void closed.then(() => this.expectEnd());
    await this.join(client, connection);
    await closed;
    clearTimeout(timer);
    if (this.isRunning && timer === undefined) count(this.closes, String(client.closedWith));
  }

  private async join(client: LedgerClient, connection: OwedConnection): Promise<void> {
    connection.mayBeInGroup = true;
    while (client.isOpen && !connection.isInGroup) {
      try {
        await client.call('fan/join', { group: GROUP });
        connection.isInGroup = true;
      } catch (error) {
        // One that has left has refused itself.
        if (client.isOpen) count(this.refusals, error instanceof CallFailed ? error.code : String(error));
        await delay(RETRY_MS);
      }
    }
  }

  /** Is owed nothing more, waits for what it is owed, as far as that comes, and leaves. */
  private async leave(): Promise<void> {
    const { balance, client, connection } = this;
    this.expectEnd();
    await waitUntil('the last pushes', () => !this.isRunning || connection?.hasAll(balance.log), LEAVE_MS).catch(
      () => undefined,
    );
    client?.end();
  }
}

function count(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1;
}
