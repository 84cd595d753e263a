/** Keeps tabs in step: what one changes the others fetch anew, and whoever comes back to a tab sees what is. */

const STALE_MS = 2000;

class Refresh {
  /** Counts up whenever what the server holds may have changed. */
  version = $state(0);
  private last = performance.now();
  private readonly channel = 'BroadcastChannel' in window ? new BroadcastChannel('wordspot') : null;

  constructor() {
    this.channel?.addEventListener('message', () => this.bump());
    const back = () => {
      if (document.visibilityState === 'visible' && performance.now() - this.last > STALE_MS) this.bump();
    };
    addEventListener('focus', back);
    document.addEventListener('visibilitychange', back);
  }

  /** To be called after each change made here. */
  changed(): void {
    this.bump();
    this.channel?.postMessage('changed');
  }

  private bump(): void {
    this.last = performance.now();
    this.version += 1;
  }
}

export const refresh = new Refresh();
