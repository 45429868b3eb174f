/** What a report must say whatever happens: nothing lost silently, nothing twice, out of order, or of somebody else. */
export const NO_DEFECTS = Object.freeze({ lost: 0, dup: 0, reorder: 0, foreign: 0, silent: 0 });
