/** @typedef {{ send(text: string): void }} Member */

/** Groups of sockets, as one writes them by hand. */
export class Groups {
  constructor() {
    /** @private @type {Map<string, Set<Member>>} */
    this.members = new Map();
  }

  /** @param {string} group @param {Member} member */
  join(group, member) {
    let members = this.members.get(group);
    if (!members) this.members.set(group, (members = new Set()));
    members.add(member);
  }

  /** @param {Member} member */
  leaveAll(member) {
    for (const members of this.members.values()) members.delete(member);
  }

  /** @param {string} group @param {string} text */
  send(group, text) {
    for (const member of this.members.get(group) ?? []) member.send(text);
  }
}
