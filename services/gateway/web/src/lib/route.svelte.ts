/** Where one is: `#/a/ARCHIVE/r/RECORDING?t=12.3`. The part after # never reaches the server. */

export interface Place {
  parts: string[];
  query: URLSearchParams;
}

function parsed(hash: string): Place {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  return { parts: path.split('/').filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

class Route {
  place = $state.raw<Place>(parsed(location.hash));

  constructor() {
    addEventListener('hashchange', () => (this.place = parsed(location.hash)));
  }

  get archive(): string {
    return this.place.parts[0] === 'a' ? (this.place.parts[1] ?? '') : '';
  }
}

export const route = new Route();

/** Returns the link to a place. */
export function link(...parts: string[]): string {
  return `#/${parts.map(encodeURIComponent).join('/')}`;
}

export function recordingLink(archive: string, recording: string, start?: number, end?: number): string {
  const query = start === undefined ? '' : `?t=${start.toFixed(3)}${end === undefined ? '' : `&e=${end.toFixed(3)}`}`;
  return link('a', archive, 'r', recording) + query;
}

export function go(to: string): void {
  location.hash = to;
}
