import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { within } from '../../../common/within.js';
import { addressOf, type HostPort } from './tcp-address.js';
import { codeOf } from '../../../common/checked.js';

/** An address to dial, and the name that it was found by. */
export interface DialAddress extends HostPort {
  readonly name: string;
}

/** Looks up all addresses that a host name has now. Rejects with a `code` as `dns.lookup` does. */
export type LookupAll = (name: string) => Promise<readonly string[]>;

/** A lookup that takes longer counts as failed, in milliseconds. */
const TIMEOUT_MS = 4_000;
/** Says that there is nothing under a name; any other failure says nothing at all. */
const NOTHING = 'ENOTFOUND';

/** Finds out which addresses the targets stand for: a name with several of them is several nodes. */
export class TcpResolver {
  private readonly last = new Map<string, readonly string[]>();

  constructor(
    private readonly targets: readonly HostPort[],
    private readonly lookupAll: LookupAll = systemLookup,
  ) {}

  /** Whether what the targets stand for can change. */
  get hasNames(): boolean {
    return this.targets.some(({ host }) => isName(host));
  }

  /**
   * The addresses, by keys that tell them apart. A name that cannot be looked up just now stands for what it stood for
   * before. `isWhole` is false when a name stands for nothing, or could not be looked up.
   */
  async resolve(): Promise<{ readonly found: ReadonlyMap<string, DialAddress>; readonly isWhole: boolean }> {
    const found = new Map<string, DialAddress>();
    let isWhole = true;
    const looked = await Promise.all(this.targets.map(({ host }) => this.lookup(host)));
    for (const [index, { host: name, port }] of this.targets.entries()) {
      const hosts = looked[index];
      if (hosts) this.last.set(name, hosts);
      const known = this.last.get(name) ?? [];
      isWhole &&= hosts !== undefined && hosts.length > 0;
      for (const host of known) found.set(`${host} ${port}`, { host, port, name });
    }
    return { found, isWhole };
  }

  /** The targets that stand for no address, as far as is known. */
  unresolved(): readonly HostPort[] {
    return this.targets.filter(({ host }) => !this.last.get(host)?.length);
  }

  /** `undefined` when the name could not be looked up. */
  private async lookup(host: string): Promise<readonly string[] | undefined> {
    if (!isName(host)) return [addressOf(host)];
    try {
      return await within<readonly string[] | undefined>(this.lookupAll(host), TIMEOUT_MS, () => undefined);
    } catch (error) {
      return codeOf(error) === NOTHING ? [] : undefined;
    }
  }
}

function isName(host: string): boolean {
  return isIP(addressOf(host)) === 0;
}

async function systemLookup(name: string): Promise<readonly string[]> {
  const found = await lookup(name, { all: true });
  return found.map(({ address }) => address);
}
