import { describe } from 'vitest';
import { lstm } from '../../src/models/lstm.js';
import { referenceCases } from './reference-case.js';

describe('lstm computes what the reference library computes', () => referenceCases(lstm));
