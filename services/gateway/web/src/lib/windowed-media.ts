/** A stretch of a media element as wavesurfer.js takes one: its time counts from the beginning of the stretch. */

const RELAYED = ['play', 'pause', 'ended', 'timeupdate', 'seeking', 'seeked', 'volumechange', 'ratechange', 'canplay'];

export class WindowedMedia extends EventTarget {
  readonly src = '';
  readonly currentSrc = '';
  private readonly relay = (event: Event) => this.dispatchEvent(new Event(event.type));

  constructor(
    private readonly media: HTMLMediaElement,
    private readonly start: number,
    readonly duration: number,
  ) {
    super();
    for (const type of RELAYED) media.addEventListener(type, this.relay);
  }

  get currentTime(): number {
    return Math.min(Math.max(this.media.currentTime - this.start, 0), this.duration);
  }
  set currentTime(seconds: number) {
    this.media.currentTime = this.start + seconds;
  }
  get paused(): boolean {
    return this.media.paused;
  }
  get ended(): boolean {
    return this.media.ended;
  }
  get seeking(): boolean {
    return this.media.seeking;
  }
  get readyState(): number {
    return this.media.readyState;
  }
  get volume(): number {
    return this.media.volume;
  }
  get muted(): boolean {
    return this.media.muted;
  }
  get playbackRate(): number {
    return this.media.playbackRate;
  }
  set playbackRate(rate: number) {
    this.media.playbackRate = rate;
  }

  play(): Promise<void> {
    return this.media.play();
  }
  pause(): void {
    this.media.pause();
  }
  canPlayType(): string {
    return '';
  }
  load(): void {}
  remove(): void {}
  removeAttribute(): void {}

  close(): void {
    for (const type of RELAYED) this.media.removeEventListener(type, this.relay);
  }
}
