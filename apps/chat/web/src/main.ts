import { ChatSession } from './chat-session.js';
import { ChatState } from './chat-state.js';
import { ComposerView } from './view-composer.js';
import { ConnectionView } from './view-connection.js';
import { LayoutView } from './view-layout.js';
import { LoginView } from './view-login.js';
import { MembersView } from './view-members.js';
import { RoomsView } from './view-rooms.js';
import { TimelineView } from './view-timeline.js';
import { ToastView } from './view-toast.js';

const toasts = new ToastView();
const state = new ChatState();
const session = new ChatSession('/gate', state, error => toasts.show(error));

/** Whatever a person asked for either happens or says why not. */
async function attempt(action: Promise<void>): Promise<boolean> {
  try {
    await action;
    return true;
  } catch (error) {
    toasts.show(error);
    return false;
  }
}

const layout = new LayoutView(state, {
  activate: room => session.activate(room),
  leave: async room => void (await attempt(session.leave(room))),
  logout: () => session.logout(),
});

const composer = new ComposerView(state, {
  say: (room, text) => attempt(session.say(room, text)),
  whisper: (to, text, room) => attempt(session.whisper(to, text, room)),
});

function whisperTo(name: string): void {
  layout.showMembers(false);
  composer.whisperTo(name);
}

const views = [
  new ConnectionView(state, () => session.connectNow()),
  new LoginView(state, async name => void (await attempt(session.login(name)))),
  layout,
  new RoomsView(state, {
    join: async room => void (await attempt(session.join(room))),
    activate: room => session.activate(room),
  }),
  new TimelineView(state, whisperTo),
  new MembersView(state, whisperTo),
  composer,
];

state.watch(() => {
  for (const view of views) view.render();
});
session.start();
