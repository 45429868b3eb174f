/** The options as they were given to `GateModule.forRoot`. */
export const GATE_OPTIONS = Symbol('nestgate:gate-options');
/** The options with all defaults, checked and frozen. */
export const RESOLVED_GATE_OPTIONS = Symbol('nestgate:resolved-gate-options');
/** Codecs of the application's own, by name. */
export const CUSTOM_CODECS = Symbol('nestgate:custom-codecs');
