// Progress on stderr: a bar on a terminal, a line every few seconds elsewhere; stdout stays for results.

import { Presets, SingleBar } from 'cli-progress';

const LINE_EVERY_MS = 5_000;

/** @returns {SingleBar} `format` may name {bar}, {percentage}, {duration_formatted} and whatever `payload` holds */
export function startProgress(format, total, payload = {}) {
  const bar = new SingleBar({
    format,
    stream: process.stderr,
    noTTYOutput: true,
    notTTYSchedule: LINE_EVERY_MS,
    // Ctrl-C ends the program, so it must find the terminal as it was: its handler would only stop the bar.
    gracefulExit: false,
    hideCursor: false,
    linewrap: true,
  }, Presets.shades_classic);
  bar.start(total, 0, payload);
  return bar;
}
