/** 16-bit WAV files, written and cut in the browser. */

const HEADER_BYTES = 44;

/** Returns a mono WAV file of samples between -1 and 1. */
export function wav(samples: Float32Array, rate: number): Blob {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + 2 * samples.length));
  const ascii = (offset: number, text: string) => [...text].forEach((c, i) => view.setUint8(offset + i, c.charCodeAt(0)));
  ascii(0, 'RIFF');
  view.setUint32(4, 36 + 2 * samples.length, true);
  ascii(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  ascii(36, 'data');
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, index) =>
    view.setInt16(HEADER_BYTES + 2 * index, Math.round(Math.max(-1, Math.min(1, sample)) * 32767), true),
  );
  return new Blob([view], { type: 'audio/wav' });
}

/** Returns the bytes of a blob in base64. */
export async function base64(blob: Blob): Promise<string> {
  const reader = new FileReader();
  return new Promise((resolve, reject) => {
    reader.onload = () => resolve(String(reader.result).split(',', 2)[1] ?? '');
    reader.onerror = () => reject(reader.error ?? new Error('unreadable file'));
    reader.readAsDataURL(blob);
  });
}

/** Returns the bytes that base64 stands for, as a file of a kind. */
export function blobOf(encoded: string, type: string): Blob {
  const binary = atob(encoded);
  return new Blob([Uint8Array.from(binary, (character) => character.charCodeAt(0))], { type });
}

/** Returns so many smallest and largest samples in equal stretches. */
export function extremes(samples: Float32Array, buckets: number): { min: number[]; max: number[] } {
  const min: number[] = [];
  const max: number[] = [];
  for (let bucket = 0; bucket < buckets; bucket += 1) {
    const part = samples.subarray(
      Math.floor((bucket * samples.length) / buckets),
      Math.max(Math.floor(((bucket + 1) * samples.length) / buckets), Math.floor((bucket * samples.length) / buckets) + 1),
    );
    min.push(part.reduce((a, b) => Math.min(a, b), 0));
    max.push(part.reduce((a, b) => Math.max(a, b), 0));
  }
  return { min, max };
}
