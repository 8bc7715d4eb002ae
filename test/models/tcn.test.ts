import { describe } from 'vitest';
import { tcn } from '../../src/models/tcn.js';
import { referenceCases } from './reference-case.js';

describe('tcn computes what the reference library computes', () => referenceCases(tcn));
