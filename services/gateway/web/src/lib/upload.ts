/** Uploads of files that go on where they broke off (tus 1.0). */

import { Upload, defaultOptions, type DetailedError } from 'tus-js-client';
import { Problem, at } from './api';

const CHUNK_BYTES = 8 * 1024 * 1024;
const RETRY_DELAYS_MS = [0, 1000, 3000, 8000];

export interface Dropped {
  file: File;
  /** With the folders below the one that was dropped. */
  path: string;
}

export interface Outcome {
  recording: string;
  alreadyPresent: boolean;
}

/** Sends one file; known beginnings of it are not sent again. */
export function send(
  archive: string,
  { file, path }: Dropped,
  tags: Record<string, string>,
  onProgress: (sent: number) => void,
  signal: AbortSignal,
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const outcome: Outcome = { recording: '', alreadyPresent: false };
    const upload = new Upload(file, {
      endpoint: new URL(at(archive, 'uploads'), location.href).href,
      chunkSize: CHUNK_BYTES,
      retryDelays: RETRY_DELAYS_MS,
      removeFingerprintOnSuccess: true,
      metadata: { filename: path, ...(Object.keys(tags).length ? { tags: JSON.stringify(tags) } : {}) },
      fingerprint: async (input, options) =>
        `${archive} ${path} ${await defaultOptions.fingerprint!(input, options)}`,
      onProgress,
      onAfterResponse: (sent, response) => {
        // The last piece is answered with the recording: 201 where it is new, else 200.
        if (sent.getMethod() !== 'PATCH' || ![200, 201].includes(response.getStatus())) return;
        outcome.alreadyPresent = response.getStatus() === 200;
        outcome.recording = String((JSON.parse(response.getBody()) as { id?: string }).id ?? '');
      },
      onShouldRetry: (error) => {
        const status = (error as DetailedError).originalResponse?.getStatus() ?? 0;
        return status === 0 || status === 409 || status === 423 || status === 429 || status === 503;
      },
      onSuccess: () => resolve(outcome),
      onError: (error) => reject(problemOf(error)),
    });
    signal.addEventListener('abort', () => {
      void upload.abort();
      reject(new DOMException('stopped', 'AbortError'));
    });
    upload
      .findPreviousUploads()
      .then((previous) => {
        if (previous[0]) upload.resumeFromPreviousUpload(previous[0]);
        if (!signal.aborted) upload.start();
      })
      .catch(reject);
  });
}

function problemOf(error: Error | DetailedError): Error {
  const response = 'originalResponse' in error ? error.originalResponse : null;
  if (!response) return new Problem(0, 'unreachable', '');
  try {
    return Problem.of(response.getStatus(), JSON.parse(response.getBody()));
  } catch {
    return new Problem(response.getStatus(), `HTTP ${response.getStatus()}`, response.getBody());
  }
}

/** Returns the files of what was dropped, folders opened. */
export async function droppedFiles(items: DataTransferItemList): Promise<Dropped[]> {
  const entries = [...items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  return (await Promise.all(entries.map((entry) => filesBelow(entry)))).flat();
}

async function filesBelow(entry: FileSystemEntry): Promise<Dropped[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ file, path: entry.fullPath.replace(/^\//, '') }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: Dropped[] = [];
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (!batch.length) return found;
    for (const child of batch) found.push(...(await filesBelow(child)));
  }
}

export function chosenFiles(files: FileList): Dropped[] {
  return [...files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
}
