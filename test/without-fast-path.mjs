/** Gates and links of the tests of this project read and write their sockets through the streams of Node. */
import { SocketFastPath } from '@nestgate/link/internal';

SocketFastPath.prototype.supports = () => false;
