/** The examples of `docs/worker.md` for `GateClientProxy`. */
import { Body, Controller, Delete, Get, Inject, Module, NotFoundException, Param, Put } from '@nestjs/common';
import { ClientsModule } from '@nestjs/microservices';
import { LinkNode } from '@nestgate/link';
import { GateClientProxy, GateError } from '@nestgate/worker';
import { catchError } from 'rxjs';

// example: GateClientProxy
@Controller('guests')
export class GuestsController {
  constructor(@Inject('GATES') private readonly gates: GateClientProxy) {}

  @Get(':uid')
  isOnline(@Param('uid') userId: string) {
    return this.gates.send('isUidOnline', { userId }); // an Observable<boolean>
  }

  @Put(':uid/bill')
  bill(@Param('uid') uids: string, @Body() body: unknown) {
    this.gates.emit('sendToUid', { uids, topic: 'guests/bill', body }); // sent, and not waited for
  }

  @Delete('clients/:clientId')
  close(@Param('clientId') clientId: string) {
    return this.gates.send('close', { clientId, message: { topic: 'guests/closed' } }).pipe(
      catchError((error: GateError) => {
        throw error.code === 'SESSION_NOT_FOUND' ? new NotFoundException() : error;
      }),
    );
  }
}

@Module({
  imports: [
    ClientsModule.register([
      {
        name: 'GATES',
        customClass: GateClientProxy,
        options: { link: process.env['NESTGATE_LINK'], deadlineMs: 3_000 },
      },
    ]),
  ],
  controllers: [GuestsController],
})
export class GuestsApp {}
// end

// example: shared node
export const sharedGates = ClientsModule.registerAsync([
  {
    name: 'GATES',
    inject: [LinkNode],
    useFactory: (node: LinkNode) => ({ customClass: GateClientProxy, options: { node } }),
  },
]);
// end
