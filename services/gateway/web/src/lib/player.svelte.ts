/** The one thing that sounds: whatever is played next stops what was played before. */

import { notices } from './notices.svelte';

class Player {
  /** What is sounding, by a key of its owner's. */
  key = $state('');
  readonly audio = new Audio();
  private stopAt = Infinity;
  private watching = 0;

  constructor() {
    this.audio.preload = 'auto';
    this.audio.addEventListener('ended', () => this.stop());
    this.audio.addEventListener('pause', () => {
      if (!this.audio.ended) this.key = '';
    });
    this.audio.addEventListener('error', () => {
      if (this.audio.error && this.audio.getAttribute('src')) notices.say(this.audio.error.message || 'audio', true);
      this.key = '';
    });
  }

  /** Plays a file from its beginning, or stops it where it is sounding already. */
  async toggle(key: string, url: string): Promise<void> {
    if (this.key === key) return this.stop();
    await this.play(key, url);
  }

  async play(key: string, url: string, start = 0, end = Infinity): Promise<void> {
    this.stop();
    this.stopAt = end;
    if (this.audio.getAttribute('src') !== url) this.audio.src = url;
    this.audio.currentTime = start;
    try {
      await this.audio.play();
      this.key = key;
      this.watch();
    } catch (error) {
      if (!(error instanceof DOMException && error.name === 'AbortError')) notices.failed(error);
    }
  }

  /** Makes a file ready to be played from a place. */
  prepare(url: string, start: number): void {
    this.stop();
    if (this.audio.getAttribute('src') !== url) this.audio.src = url;
    this.audio.currentTime = start;
  }

  stop(): void {
    cancelAnimationFrame(this.watching);
    this.audio.pause();
    this.key = '';
  }

  private watch(): void {
    this.watching = requestAnimationFrame(() => {
      if (this.audio.currentTime >= this.stopAt) this.stop();
      else if (!this.audio.paused) this.watch();
    });
  }
}

export const player = new Player();
