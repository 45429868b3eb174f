/**
 * Loaded before the main file of each server: answers what the harness asks about the process, and ends the process when the
 * harness is gone. It costs nothing while nobody asks.
 */
process.on('message', message => {
  if (message !== 'usage') return;
  global.gc?.();
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  process.send?.({ usage: { busyMs: (user + system) / 1_000, rss, heapUsed } });
});
process.on('disconnect', () => process.exit());
process.channel?.unref();
