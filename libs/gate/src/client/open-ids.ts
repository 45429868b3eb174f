import { present } from '@nestgate/link/internal';
/** So many ids are found faster by looking through them than in a set, which also leaves garbage behind. */
const FEW = 32;

/** The ids of one client's unanswered requests: a few as a rule. */
export class OpenIds {
  private readonly few: number[] = [];
  private many: Set<number> | undefined = undefined;

  has(id: number): boolean {
    return this.indexOf(id) >= 0 || (this.many !== undefined && this.many.has(id));
  }

  /** Adds an id that is not there yet. */
  add(id: number): void {
    if (this.few.length < FEW) this.few.push(id);
    else (this.many ??= new Set()).add(id);
  }

  delete(id: number): void {
    const { few } = this;
    const at = this.indexOf(id);
    if (at < 0) {
      this.many?.delete(id);
      return;
    }
    const last = present(few.pop());
    if (at < few.length) few[at] = last;
  }

  private indexOf(id: number): number {
    const { few } = this;
    for (let i = 0; i < few.length; i++) if (few[i] === id) return i;
    return -1;
  }
}
