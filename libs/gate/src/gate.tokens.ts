/** The options as they were given to `GateModule.forRoot`. */
export const GATE_OPTIONS = Symbol('nestgate:gate-options');
/** The options with all defaults, checked and frozen. */
export const RESOLVED_GATE_OPTIONS = Symbol('nestgate:resolved-gate-options');
