// oxlint-disable-next-line typescript/unbound-method -- it is bound at each call
const { charCodeAt } = String.prototype;

/**
 * The UTF-16 unit at an index, as `text.charCodeAt(index)`. The method is looked up once: a class that extends `String`
 * anywhere in the process (`ioredis` has one) makes V8 look the methods of strings up at each call, at six times the cost.
 */
export function unitAt(text: string, index: number): number {
  return charCodeAt.call(text, index);
}
