/** Decorators without their syntax, so that peers run as they are. */

/**
 * Applies decorators to a method.
 * @param {{ prototype: object }} type
 * @param {string} name
 * @param {readonly Function[]} decorators
 * @param {readonly ParameterDecorator[]} [parameters] one for each parameter
 */
export function method(type, name, decorators, parameters = []) {
  parameters.forEach((decorate, index) => decorate(type.prototype, name, index));
  const descriptor = Object.getOwnPropertyDescriptor(type.prototype, name);
  for (const decorate of decorators) Reflect.apply(decorate, undefined, [type.prototype, name, descriptor]);
}

/**
 * Says what a class is given when it is made.
 * @param {Function} type
 * @param {readonly ParameterDecorator[]} parameters one for each parameter
 */
export function constructed(type, parameters) {
  parameters.forEach((decorate, index) => decorate(type, undefined, index));
}
