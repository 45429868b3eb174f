import type { ClientId } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';
import { ask, orFalse } from './queries.js';
import { counted, idList, nameList } from './arguments.js';
import { assertMoment } from './credentials.js';
import { each, GatewayClients } from './gateway-clients.js';
import type { AnyEvents, Answer, EventMap, NoOptions, QueryOptions } from './options.js';

/** Longest time for which credentials can be revoked, in milliseconds: 30 days. */
const MAX_FOR_MS = 30 * 86_400_000;

/** How a uid is revoked. */
export interface RevokeOptions extends QueryOptions {
  /**
   * For how long what was issued before is refused, in milliseconds: as long as the longest-lived token of yours, 30 days at
   * most. @defaultValue 86400000, a day
   */
  readonly forMs?: number | undefined;
  /** Clients that stay: the one on which the user has just changed the password, for example. */
  readonly exclude?: string | readonly string[] | undefined;
}

/** What {@link GatewayApi} does about who may stay. */
export abstract class GatewayAuth<E extends EventMap = AnyEvents> extends GatewayClients<E> {
  /**
   * Has the gates close clients with 1008 (`auth expired`) at this moment, in milliseconds since the epoch, unless they are told
   * otherwise before; `null`: never. Resolves with whether the client was there; for a list, with how many were.
   */
  expireClient(clientId: ClientId, moment: number | null): Promise<boolean>;
  expireClient(clientIds: readonly ClientId[], moment: number | null): Promise<number>;
  expireClient(clientIds: ClientId | readonly ClientId[], moment: number | null): Promise<boolean | number> {
    return this.watched(this.expireAll(clientIds, moment));
  }

  /**
   * Logs users out everywhere: closes all clients that are bound to these uids with 1008 (`revoked`), on every gate, and for a
   * time refuses binds to them by credentials issued before now: `authIssuedAt` of the handshake, `issuedAt` of a bind. Where it is
   * not said when they were issued, those that are on their way now are refused, and later ones are not. Resolves with how many
   * clients were closed.
   * @throws {GateError} `PARTIAL_RESULT` (details `{result, missing}`) when a gate has not answered: it may not have done it.
   * Call it again then; doing it twice does no harm.
   */
  revoke<O extends RevokeOptions | undefined = NoOptions>(
    uids: string | readonly string[],
    options?: O,
  ): Promise<Answer<number, O>> {
    return this.watched(this.revokeAll(uids, options));
  }

  private async expireAll(clientIds: ClientId | readonly ClientId[], moment: number | null): Promise<boolean | number> {
    assertMoment(moment);
    const expiresAt = moment ?? undefined;
    const ids = idList(clientIds);
    return counted(clientIds, await each(ids, clientId => orFalse(this.gates.expireAt.call({ clientId, expiresAt }))));
  }

  private async revokeAll<O extends RevokeOptions | undefined = NoOptions>(
    uids: string | readonly string[],
    options: O | undefined,
  ): Promise<Answer<number, O>> {
    const { forMs, exclude } = options ?? {};
    if (forMs !== undefined && !(typeof forMs === 'number' && forMs >= 1 && forMs <= MAX_FOR_MS)) {
      throw new GateError('BAD_ARGUMENT', `forMs must be a number of milliseconds, from 1 to ${MAX_FOR_MS}`);
    }
    const args = {
      uids: nameList('uid', uids),
      // One moment for all gates, whatever their clocks say.
      before: Date.now(),
      forMs,
      except: exclude === undefined ? undefined : idList(exclude),
    };
    return ask(this.gates.revoke, args, options, closed => closed);
  }
}
