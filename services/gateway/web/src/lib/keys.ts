/** Keys of the page: single letters, ignored wherever one types. */

export type Actions = Record<string, () => void>;

function typing(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(TEXTAREA|SELECT)$/.test(target.tagName) ||
      (target instanceof HTMLInputElement && !/^(checkbox|radio|button|range)$/.test(target.type)))
  );
}

/** Returns a listener that runs the action of a key; a space on a button presses the button. */
export function keys(actions: Actions): (event: KeyboardEvent) => void {
  return (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (document.querySelector('dialog[open]')) return;
    if (event.key === ' ' && event.target instanceof HTMLElement && event.target.closest('button, a, summary, input')) return;
    const action = actions[event.key === ' ' ? 'space' : event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  };
}
