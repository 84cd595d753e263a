/** What the page is built from, as one hash: it lies beside the built files and tells when they are stale. */

import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Plugin } from 'vite';

const SOURCES = ['index.html', 'package-lock.json', 'package.json', 'public', 'sources.ts', 'src', 'svelte.config.js', 'tsconfig.json', 'vite.config.ts'];

function filesBelow(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path).flatMap((name) => filesBelow(join(path, name)));
}

/** Writes the hash into the folder of the built files. */
export function sourcesHash(): Plugin {
  let folder = '';
  return {
    name: 'sources-hash',
    apply: 'build',
    configResolved: (config) => void (folder = config.build.outDir),
    closeBundle() {
      const hash = createHash('sha256');
      for (const path of SOURCES.flatMap(filesBelow).sort()) {
        const content = readFileSync(path);
        hash.update(`${path}\0${content.length}\0`).update(content);
      }
      writeFileSync(join(folder, 'sources.sha256'), `${hash.digest('hex')}\n`);
    },
  };
}
