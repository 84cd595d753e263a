/** Numbers, times and names as people read them. */

const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\uef80-\uefff]/g;
const SHORT: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };
const FIRST_ESCAPED_BYTE = 0xef00; // of a byte that is not UTF-8, as the contracts have it in paths

/** Returns the text in one line: controls, marks of direction and bytes that are not UTF-8 escaped as `\x1b`. */
export function visible(text: string): string {
  return text.replace(UNSAFE, (character) => {
    const code = character.charCodeAt(0);
    if (code >= 0xef80) return `\\x${(code - FIRST_ESCAPED_BYTE).toString(16)}`;
    return SHORT[character] ?? (code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`);
  });
}

export function baseName(path: string): string {
  return visible(path.slice(path.lastIndexOf('/') + 1) || path);
}

export function folderOf(path: string): string {
  return visible(path.slice(0, Math.max(0, path.lastIndexOf('/'))));
}

/** Returns a place in a recording, `1:02:03.45`, or `2:03.45` below an hour. */
export function clock(seconds: number, digits = 2): string {
  const scale = 10 ** digits;
  const whole = Math.round(Math.max(0, seconds) * scale);
  const rest = (whole % (60 * scale)) / scale;
  const minutes = Math.floor(whole / (60 * scale));
  const padded = rest.toFixed(digits).padStart(digits ? digits + 3 : 2, '0');
  if (minutes < 60) return `${minutes}:${padded}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, '0')}:${padded}`;
}

export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let value = count;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** Returns the seconds that a person typed: `75.5`, `1:15.5`, `1:02:03`; NaN for anything else. */
export function parsedClock(text: string): number {
  const parts = text.trim().split(':');
  if (!text.trim() || parts.length > 3 || parts.some((part) => !/^\d+(\.\d+)?$/.test(part))) return NaN;
  return parts.reduce((sum, part) => sum * 60 + Number(part), 0);
}

export function fixed(value: number, digits = 2): string {
  return Number.isFinite(value) ? value.toFixed(digits) : '–';
}

/** Returns tags out of `key=value` lines or words; throws what is wrong with the first that is none. */
export function parsedTags(text: string): Record<string, string> {
  const tags: Record<string, string> = {};
  for (const part of text.split(/[\n,]/).map((one) => one.trim()).filter(Boolean)) {
    const equals = part.indexOf('=');
    if (equals < 1) throw new Error(part);
    tags[part.slice(0, equals).trim()] = part.slice(equals + 1).trim();
  }
  return tags;
}

export function shownTags(tags: Record<string, string>): string {
  return Object.entries(tags)
    .map(([key, value]) => `${key}=${value}`)
    .join(', ');
}

/** Hands a file to the browser's downloads. */
export function download(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Returns the name that a Content-Disposition gives, RFC 5987 before the plain one. */
export function givenName(header: string | null, otherwise: string): string {
  const extended = /filename\*=UTF-8''([^;]+)/i.exec(header ?? '');
  if (extended) return decodeURIComponent(extended[1]!);
  return /filename="?([^";]+)"?/i.exec(header ?? '')?.[1] ?? otherwise;
}

/** Returns a field of a CSV file; what a spreadsheet would take for a formula is quoted as text. */
export function csvField(value: string | number): string {
  const plain = typeof value === 'number' ? String(value) : /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\n\r]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}
