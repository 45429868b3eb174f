import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * A thing to measure.
 * @typedef {object} MicroCase
 * @property {string} name
 * @property {number} operations that one run does
 * @property {() => unknown} run a promise, when it takes more than one turn
 */

/** A built tree of the repository, whose files the cases load. */
export class Target {
  /** @param {string} root */
  constructor(root) {
    /** @private @readonly */
    this.root = root;
  }

  /** @param {string} path a built file, from the repository's root @returns {Promise<any>} */
  load(path) {
    return import(pathToFileURL(join(this.root, path)).href);
  }
}
