/** Records the microphone as a WAV file. */

import workletUrl from './recorder-worklet.js?url';
import { wav } from './wav';

export const MAX_RECORDING_S = 30;

export interface Take {
  file: Blob;
  samples: Float32Array;
  rate: number;
}

export class Recorder {
  private readonly blocks: Float32Array[] = [];
  private length = 0;

  private constructor(
    private readonly context: AudioContext,
    private readonly stream: MediaStream,
    private readonly node: AudioWorkletNode,
    onLevel: (level: number, seconds: number) => void,
    onFull: () => void,
  ) {
    node.port.onmessage = ({ data }: MessageEvent<Float32Array>) => {
      this.blocks.push(data);
      this.length += data.length;
      onLevel(Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length), this.length / context.sampleRate);
      if (this.length > MAX_RECORDING_S * context.sampleRate) onFull();
    };
  }

  /** Asks for the microphone and starts; onLevel hears of each block its level and the seconds so far. */
  static async start(onLevel: (level: number, seconds: number) => void, onFull: () => void): Promise<Recorder> {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
    const context = new AudioContext();
    try {
      await context.audioWorklet.addModule(workletUrl);
      const node = new AudioWorkletNode(context, 'recorder', { numberOfOutputs: 0 });
      context.createMediaStreamSource(stream).connect(node);
      await context.resume();
      return new Recorder(context, stream, node, onLevel, onFull);
    } catch (error) {
      stream.getTracks().forEach((track) => track.stop());
      await context.close();
      throw error;
    }
  }

  async stop(): Promise<Take> {
    this.node.port.onmessage = null;
    this.node.disconnect();
    this.stream.getTracks().forEach((track) => track.stop());
    const rate = this.context.sampleRate;
    await this.context.close();
    const samples = new Float32Array(this.length);
    let at = 0;
    for (const block of this.blocks) {
      samples.set(block, at);
      at += block.length;
    }
    return { file: wav(samples, rate), samples, rate };
  }
}
