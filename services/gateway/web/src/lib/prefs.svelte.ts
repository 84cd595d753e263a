/** What one person prefers, kept in the browser: language, appearance, the name that verdicts are signed with. */

export type Theme = 'system' | 'light' | 'dark';
export type Language = 'en' | 'zh-Hant';

const stored = (key: string): string => {
  try {
    return localStorage.getItem(`wordspot.${key}`) ?? '';
  } catch {
    return '';
  }
};

export function keep(key: string, value: string): void {
  try {
    localStorage.setItem(`wordspot.${key}`, value);
  } catch {
    // Without storage the choice holds until the page is left.
  }
}

function firstLanguage(): Language {
  const chosen = stored('language');
  if (chosen === 'en' || chosen === 'zh-Hant') return chosen;
  return navigator.languages.some((one) => /^zh/i.test(one)) && !/^en/i.test(navigator.language) ? 'zh-Hant' : 'en';
}

function firstTheme(): Theme {
  const chosen = stored('theme');
  return chosen === 'light' || chosen === 'dark' ? chosen : 'system';
}

class Preferences {
  language = $state<Language>(firstLanguage());
  theme = $state<Theme>(firstTheme());
  author = $state(stored('author'));
  /** Counts up when the colours change, for what is drawn on a canvas. */
  appearance = $state(0);

  constructor() {
    this.apply();
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.apply());
  }

  setLanguage(language: Language): void {
    this.language = language;
    keep('language', language);
    this.apply();
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    keep('theme', theme);
    this.apply();
  }

  setAuthor(author: string): void {
    this.author = author.trim();
    keep('author', this.author);
  }

  private apply(): void {
    const dark = this.theme === 'dark' || (this.theme === 'system' && matchMedia('(prefers-color-scheme: dark)').matches);
    document.documentElement.dataset['theme'] = dark ? 'dark' : 'light';
    document.documentElement.lang = this.language;
    this.appearance += 1;
  }
}

export const prefs = new Preferences();
