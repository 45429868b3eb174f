import { open as openGate } from './nestgate.mjs';

/** @param {string} host @param {import('../contenders.mjs').Events} events */
export const open = (host, events) => openGate(host, events, true);
