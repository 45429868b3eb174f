import { Module } from '@nestjs/common';
import { OperationsGuard } from './operations.guard.js';
import { OperationsPort } from './operations-port.js';

/** Where `/health` and `/metrics` are, and who may read them. */
@Module({ providers: [OperationsPort, OperationsGuard], exports: [OperationsPort, OperationsGuard] })
export class OperationsModule {}
