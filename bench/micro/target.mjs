import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * A thing to measure: the time of one operation.
 * @typedef {object} TimedCase
 * @property {string} name
 * @property {number} operations that one run does
 * @property {() => unknown} run a promise, when it takes more than one turn
 */

/**
 * A thing to measure that finds its figures by itself.
 * @typedef {object} CountedCase
 * @property {string} name
 * @property {() => Promise<Figures> | Figures} measure
 */

/** Figures of one case, by the names of their columns. @typedef {Readonly<Record<string, number>>} Figures */

/** @typedef {TimedCase | CountedCase} MicroCase */

/** A built tree of the repository, whose files the cases load. */
export class Target {
  /** @param {string} root */
  constructor(root) {
    /** @readonly */
    this.root = root;
  }

  /** @param {string} path a built file, from the repository's root @returns {Promise<any>} */
  load(path) {
    return import(pathToFileURL(join(this.root, path)).href);
  }

  /**
   * What a lib exports for its siblings. Trees from before there were internal entries have it in their index.
   * @param {string} lib @returns {Promise<any>}
   */
  loadInternal(lib) {
    const internal = `libs/${lib}/dist/internal.js`;
    return this.load(existsSync(join(this.root, internal)) ? internal : `libs/${lib}/dist/index.js`);
  }
}
