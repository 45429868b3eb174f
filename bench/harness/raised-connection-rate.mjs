/**
 * Loaded before the main file of a gate: raises `maxConnectionRate`, for which the example apps have no variable. The apps run as
 * they are, also those of an older commit.
 */
import 'reflect-metadata';
import { GateModule } from '@nestgate/gate';

const RAISED_RATE = 100_000;

const forRoot = GateModule.forRoot.bind(GateModule);
GateModule.forRoot = options => forRoot({ ...options, maxConnectionRate: RAISED_RATE });
