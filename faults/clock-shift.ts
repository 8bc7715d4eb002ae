/**
 * Loaded before a device (`--import`): its wall clock is off by the milliseconds that stand in the file that `ND_CLOCK_FILE` names, read when
 * it starts and on each SIGUSR2.
 */
import { readFileSync } from 'node:fs';

const file = process.env['ND_CLOCK_FILE']!;
const real = Date.now;
let offMs = 0;
const read = (): void => void (offMs = Number(readFileSync(file, 'utf8')));
Date.now = () => real() + offMs;
process.on('SIGUSR2', read);
read();
