export { chat } from './chat.contract.js';
export { HandlersModule } from './handlers.module.js';
