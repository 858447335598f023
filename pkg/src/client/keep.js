// How much of its events a page keeps, of what the server still needs: from the least on.

export const LEVELS = ['week', 'day', 'order'];
export const DAY_MS = 86_400_000;

const today = () => new Date().toISOString().slice(0, 10);

/** The level of this moment: that of the option, or a lower one that the server has named for this very day. */
export function levelNow(option, said) {
  const named = said?.day === today() ? LEVELS.indexOf(said.level) : -1;
  const most = LEVELS.indexOf(option);
  return LEVELS.find((level, at) => at === named || at === most) ?? 'order';
}

/** What an answer says, `LEVEL; day=YYYY-MM-DD`; undefined where that is not of this day. */
export function heard(header) {
  const [level, day] = (header ?? '').split('; day=');
  return day === today() && LEVELS.includes(level) ? { level, day } : undefined;
}
