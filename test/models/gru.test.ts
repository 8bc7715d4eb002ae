import { describe } from 'vitest';
import { gru } from '../../src/models/gru.js';
import { referenceCases } from './reference-case.js';

describe('gru computes what the reference library computes', () => referenceCases(gru));
