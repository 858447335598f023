// Times of a CSV file as RFC 3339, which is what the API takes.

// 2024-03-13, 2024-03-13 10:21, 2024-03-13T10:21:14.5+0100, … : what databases and spreadsheets write.
const DATE_TIME = /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}:\d{2})(:\d{2}(?:\.\d+)?)?)? ?(Z|UTC|[+-]\d{2}(?::?\d{2})?)?$/i;

/**
 * @param {string} text a date with or without a time and an offset; without one it is taken as UTC
 * @returns {string | null} null where it is no time
 */
export function toRfc3339(text) {
  const match = DATE_TIME.exec(text.trim());
  if (match === null) return null;
  const [, year, month, day, minutes = '00:00', seconds = ':00', offset = 'Z'] = match;
  // Date.parse accepts the 31st of February and moves it into March.
  if (new Date(Date.UTC(year, month - 1, day)).getUTCDate() !== Number(day)) return null;
  const time = `${year}-${month}-${day}T${minutes}${seconds}${normalOffset(offset.toUpperCase())}`;
  return Number.isNaN(Date.parse(time)) ? null : time;
}

function normalOffset(offset) {
  if (offset === 'Z' || offset === 'UTC') return 'Z';
  return `${offset.slice(0, 3)}:${offset.slice(3).replace(':', '') || '00'}`;
}
