import { describe, expect, test } from 'vitest';
import { updateStates } from '../../src/contracts/payload.js';
import { nextState, updateTable } from '../../src/runtime/update-state.js';
import type { UpdateEvent } from '../../src/runtime/update-state.js';

describe('the table of update states', () => {
  test.each(updateTable)('%s, %s -> %s', (state, event, next) => {
    expect(nextState(state, event)).toBe(next);
  });

  test('says nothing about pairs that cannot happen, and nothing twice', () => {
    const events = [...new Set(updateTable.map(([, event]) => event))];
    const known = new Set(updateTable.map(([state, event]) => `${state} ${event}`));
    expect(known.size).toBe(updateTable.length);
    for (const state of updateStates) {
      for (const event of events) if (!known.has(`${state} ${event}`)) expect(nextState(state, event)).toBeUndefined();
    }
  });

  test('every update ends: from each state that is under way, one event leads on and one gives up', () => {
    const gaveUp: readonly UpdateEvent[] = ['refuse', 'disproven', 'restored'];
    for (const state of [
      'offered',
      'downloading',
      'verifying',
      'staged',
      'testing',
      'shadow',
      'activating',
      'probation',
      'rolling_back',
    ] as const) {
      expect(updateTable.some(([from, event]) => from === state && gaveUp.includes(event))).toBe(true);
    }
  });
});
