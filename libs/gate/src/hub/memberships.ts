/** Called for names that get their first member or lose their last one, and for each member in between. */
export interface MembershipEvents<M = unknown> {
  onAppear(name: string): void;
  onVanish(name: string): void;
  onJoin?(name: string, member: M): void;
  onLeave?(name: string, member: M): void;
}

/** Who is in which group (or bound to which uid), kept from both sides by the one class that changes them. */
export class Memberships<M> {
  private readonly byName = new Map<string, Set<M>>();
  private readonly byMember = new Map<M, Set<string>>();

  constructor(private readonly events?: MembershipEvents<M>) {}

  /** How many names have members. */
  get size(): number {
    return this.byName.size;
  }

  names(): IterableIterator<string> {
    return this.byName.keys();
  }

  members(name: string): ReadonlySet<M> {
    return this.byName.get(name) ?? NOBODY;
  }

  namesOf(member: M): ReadonlySet<string> {
    return this.byMember.get(member) ?? NOTHING;
  }

  /** Adds a member; true when it is the first one of this name. */
  add(name: string, member: M): boolean {
    let members = this.byName.get(name);
    const isFirst = members === undefined;
    if (!members) this.byName.set(name, (members = new Set()));
    if (members.has(member)) return isFirst;
    members.add(member);
    const names = this.byMember.get(member);
    if (names) names.add(name);
    else this.byMember.set(member, new Set([name]));
    if (isFirst) this.events?.onAppear(name);
    this.events?.onJoin?.(name, member);
    return isFirst;
  }

  /** Removes a member; a name without members vanishes. True when it was the last one. */
  remove(name: string, member: M): boolean {
    const members = this.byName.get(name);
    if (!members?.delete(member)) return false;
    this.events?.onLeave?.(name, member);
    if (members.size === 0) {
      this.byName.delete(name);
      this.events?.onVanish(name);
    }
    const names = this.byMember.get(member);
    names?.delete(name);
    if (names?.size === 0) this.byMember.delete(member);
    return members.size === 0;
  }

  /** Removes a member from everything. */
  removeMember(member: M): void {
    for (const name of this.namesOf(member)) this.remove(name, member);
  }
}

const NOBODY: ReadonlySet<never> = new Set();
const NOTHING: ReadonlySet<string> = new Set<string>();

/** Events for several listeners. */
export function allOf<M>(...listeners: readonly MembershipEvents<M>[]): MembershipEvents<M> {
  return {
    onAppear: name => listeners.forEach(each => each.onAppear(name)),
    onVanish: name => listeners.forEach(each => each.onVanish(name)),
    onJoin: (name, member) => listeners.forEach(each => each.onJoin?.(name, member)),
    onLeave: (name, member) => listeners.forEach(each => each.onLeave?.(name, member)),
  };
}
